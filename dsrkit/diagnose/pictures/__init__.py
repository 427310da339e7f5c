"""The packet pictures, in the order in which they are looked for: what is proven by one packet before what is inferred
from silence."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.diagnosis import Picture
from dsrkit.diagnose.pictures.fragments import fragments
from dsrkit.diagnose.pictures.health import beside, untaken
from dsrkit.diagnose.pictures.marks import collisions, marks
from dsrkit.diagnose.pictures.memory import memory
from dsrkit.diagnose.pictures.name_servers import name_servers
from dsrkit.diagnose.pictures.neighbours import neighbours
from dsrkit.diagnose.pictures.option_answers import option_answers
from dsrkit.diagnose.pictures.options import options
from dsrkit.diagnose.pictures.owner import owner
from dsrkit.diagnose.pictures.ports import wrong_port
from dsrkit.diagnose.pictures.proxy import proxy
from dsrkit.diagnose.pictures.refused import refused
from dsrkit.diagnose.pictures.silent import bounced, silent, stalled
from dsrkit.diagnose.pictures.takeover import takeover
from dsrkit.diagnose.pictures.tunnel import tunnel
from dsrkit.diagnose.pictures.unheard import unheard
from dsrkit.diagnose.pictures.way import way
from dsrkit.diagnose.pictures.wrong_address import wrong_address

PICTURES: Final[tuple[Picture, ...]] = (
    takeover,
    owner,
    neighbours,
    proxy,
    name_servers,
    untaken,
    way,
    tunnel,
    fragments,
    collisions,
    options,
    option_answers,
    bounced,
    wrong_address,
    wrong_port,
    refused,
    unheard,
    memory,
    stalled,
    silent,
    marks,
    beside,
)
