"""Start a service, in the background or in the foreground.

Raises: ConfigError, OSError.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from postvirt.config.excerpt import render
from postvirt.errors import ConfigError
from postvirt.server.service.daemonise import Starter, daemonise
from postvirt.server.service.options import Wanted, settings_of
from postvirt.server.service.pid_file import AlreadyRunningError
from postvirt.server.service.service import Service
from postvirt.system import log


def start(wanted: Wanted) -> int:
    """Run the service; the exit status.

    In the background, this returns when the service accepts mail.
    Raises: ConfigError, OSError.
    """
    settings = settings_of(wanted.options())
    os.chdir(settings.queue_directory)
    if wanted.foreground:
        os.umask(0o077)  # as master(8)
        return _serve(wanted, os.dup(2))
    works, said = daemonise(partial(_serve, wanted), settings.queue_directory)
    sys.stderr.buffer.write(said)
    return 0 if works else 1


def _serve(wanted: Wanted, fd: int) -> int:
    starter = Starter(fd)
    log.start(lambda *_: None)
    log.tell_also(starter.tell)
    try:
        return Service(wanted, starter).run()
    except AlreadyRunningError as error:
        process = f", as process {error}" if str(error) else ""
        log.error(f"the service {wanted.name} is already running{process}")
    except ConfigError as error:
        log.error(render(error))
    except OSError as error:
        log.error(f"{error.filename or 'start'}: {log.errno_text(error)}")
    starter.leave()
    return 1
