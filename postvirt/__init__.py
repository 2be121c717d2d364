"""A replacement for Postfix's virtual(8) delivery agent.

The packages, bottom up: `errors`, `model` (values), `codec` (bytes to values and
back), `system` (one hazard of the machine per file), `config` (main.cf to Settings),
`tables` (who owns a mailbox), `queuefile`, `mailbox` and `report` (read the message,
write the mail, tell Postfix), `delivery` (the story), `server` (processes),
`standin` (stand-ins for the rest of Postfix) and `cli`. Imports point down only.
"""

__version__ = "0.1.0"
