"""The settings that hold now: main.cf is read again when it has changed.

Raises: ConfigError.
"""

from __future__ import annotations

import os
from typing import Final

from postvirt.config.config_files import directory_of
from postvirt.config.daemon_options import Options
from postvirt.config.load import LoadError, Texts, load
from postvirt.config.parameters import Settings
from postvirt.server.json_log import JsonLog
from postvirt.server.log_target import log_as_environment_says, log_as_settings_say
from postvirt.system import log
from postvirt.tables.opener import TableOpener


class CurrentSettings:
    """main.cf and -o, read again when main.cf is no longer the file that was read."""

    __slots__ = (
        *("_main_cf", "_settings", "_tables", "_texts", "_version"),
        *("json_log", "options"),
    )

    def __init__(self, options: Options, json_log: JsonLog | None = None) -> None:
        self.options: Final = options
        self.json_log: Final = JsonLog() if json_log is None else json_log
        self._settings: Settings | None = None
        self._tables: TableOpener | None = None
        self._texts = Texts({})
        self._main_cf: Final = f"{directory_of(None)}/main.cf"
        self._version: tuple[int, ...] = ()

    def read(self) -> Settings:
        """The settings that hold now; the log follows them.

        Raises: ConfigError.
        """
        # It may change while it is read; then it is read once more.
        version = self._main_cf_version()
        if self._settings is None or self._version != version:
            try:
                loaded = load(
                    overrides=self.options.overrides,
                    process_name=self.options.process_name,
                    service_name=self.options.service_name,
                )
            except LoadError as error:
                if error.log_settings is not None:
                    log_as_settings_say(error.log_settings, self.options)
                elif self._settings is None and log.is_facility(error.syslog_facility):
                    process_name = self.options.process_name
                    log_as_environment_says(process_name, error.syslog_facility)
                raise
            for warning in loaded.warnings:
                log.warning(warning)
            loaded.texts.prepare()
            self._settings = loaded.settings
            self._texts = loaded.texts
            self._tables = TableOpener.of(loaded.settings, loaded.texts)
            self._version = version
            self._apply()
        return self._settings

    def keep(self) -> Settings:
        """Go on with the settings that were read, while main.cf is what it is now."""
        self._version = self._main_cf_version()
        return self._apply()

    @property
    def tables(self) -> TableOpener:
        """What opens tables by the settings that were read last."""
        assert self._tables is not None
        return self._tables

    @property
    def texts(self) -> Texts:
        """The parameters that are no settings, as they were read last."""
        return self._texts

    def _apply(self) -> Settings:
        assert self._settings is not None
        log_as_settings_say(self._settings, self.options, self.json_log)
        return self._settings

    def _main_cf_version(self) -> tuple[int, ...]:
        try:
            status = os.stat(self._main_cf)
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
