"""Commands that make the figures the documents quote."""
