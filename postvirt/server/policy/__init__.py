"""The policy service: smtpd(8) asks whether there is room in a mailbox."""
