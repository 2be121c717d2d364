"""The queue file: open it, read the message, cross off recipients, mark it corrupt."""
