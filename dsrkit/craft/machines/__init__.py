"""The machines of a scenario, and the network between them: what answers, forwards, balances and repeats itself."""
