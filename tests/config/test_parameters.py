"""The table of parameters says what the genuine Postfix says."""

import gzip
import re
from pathlib import Path

import pytest

from postvirt.config.parameter_names import NEWER
from postvirt.config.parameters import PARAMETERS, Settings
from tests.harness.installed_postfix import VERSION

# What postconf cannot know or makes itself.
MACHINE_MADE = {name for name, row in PARAMETERS.items() if row.kind == "fixed"}
MACHINE_MADE |= {"myhostname", "mydomain"}
# The default table type is Debian's choice; there is one more variable.
NEW_IN_3_11 = {"default_database_type", "import_environment"}


@pytest.mark.postfix
def test_every_default_is_the_genuine_one(postconf):
    ours = {
        name: row.default
        for name, row in PARAMETERS.items()
        if name not in MACHINE_MADE | NEWER | {"mail_version", "mail_release_date"}
        and not (VERSION >= (3, 11) and name in NEW_IN_3_11)
    }
    # Named one by one: postconf lists virtual_maps only when it is asked for.
    genuine = dict(line.split(" =", 1) for line in postconf("-d", *ours))
    assert {name: value.strip() for name, value in genuine.items()} == ours


MANUAL = Path("/usr/share/man/man8/virtual.8postfix.gz")
IN_MANUAL = set(
    """
    config_directory daemon_timeout delay_logging_resolution_limit
    deliver_lock_attempts deliver_lock_delay enable_original_recipient
    info_log_address_format ipc_timeout max_idle max_use process_id process_name
    queue_directory service_name stale_lock_time strict_mailbox_ownership
    syslog_facility syslog_name virtual_delivery_status_filter
    virtual_destination_concurrency_limit virtual_destination_recipient_limit
    virtual_gid_maps virtual_mailbox_base virtual_mailbox_domains
    virtual_mailbox_limit virtual_mailbox_lock virtual_mailbox_maps
    virtual_minimum_uid virtual_transport virtual_uid_maps
    """.split()
)


def test_every_parameter_of_the_manual_page_is_in_the_table():
    assert PARAMETERS.keys() >= IN_MANUAL


@pytest.mark.postfix
@pytest.mark.skipif(not MANUAL.exists(), reason="the manual pages are not installed")
def test_the_manual_page_has_no_other_parameters():
    page = gzip.decompress(MANUAL.read_bytes()).decode()
    section = page.split('.SH "CONFIGURATION PARAMETERS"')[-1]
    assert set(re.findall(r'^\.IP "\\fB([a-z_]+)', section, re.MULTILINE)) == IN_MANUAL


def test_settings_have_a_value_for_each_row_and_no_other():
    values = dict.fromkeys(PARAMETERS, 1)
    settings = Settings(**values)
    assert settings.max_use == 1
    assert settings.changed(max_use=2).max_use == 2
    assert settings.max_use == 1
    assert settings == Settings(**values) != settings.changed(max_use=2)
    assert hash(settings) == hash(Settings(**values))
    for wrong in ({"max_use": 1}, {**values, "max_user": 1}):
        with pytest.raises(TypeError, match="not the parameters"):
            Settings(**wrong)


def test_a_row_is_never_taken_for_a_value():
    assert not any(hasattr(Settings, name) for name in PARAMETERS)


@pytest.mark.parametrize("row", PARAMETERS.values(), ids=list(PARAMETERS))
def test_every_row_has_a_one_line_meaning(row):
    assert row.meaning.endswith(".")
    assert "\n" not in row.meaning
