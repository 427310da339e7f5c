"""The confusion matrix: every fault crafted, and what verify makes of it."""
