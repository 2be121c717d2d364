"""All checks.

A check is a generator of problems. The checks of the files come first: they need no
valid settings. Those of a Subject are made for each process of master.cf: some with
root's rights, then the others with mail_owner's and, in a process that root started,
the right to act as other users (system.privileges).
"""

from __future__ import annotations

from collections.abc import Sequence

from postvirt.inspection.domains.alias_domains import check_alias_domains
from postvirt.inspection.domains.incoming import check_received
from postvirt.inspection.entry_checks import check_entries
from postvirt.inspection.files.characters import check_characters
from postvirt.inspection.files.comments import check_comments
from postvirt.inspection.files.folder_parameters import check_folder_parameters
from postvirt.inspection.files.last_line import check_last_line
from postvirt.inspection.files.references import (
    check_loops,
    check_mistakes,
    check_undefined,
)
from postvirt.inspection.files.unused_names import check_names
from postvirt.inspection.files.vda_quota import (
    check_quota_parameters,
    check_vda_names,
)
from postvirt.inspection.files.without_effect import check_local_only, check_overridden
from postvirt.inspection.machine.inet_addresses import check_interfaces
from postvirt.inspection.machine.mail_log import check_mail_log
from postvirt.inspection.machine.queue_directory import check_queue_directory
from postvirt.inspection.machine.selinux import check_selinux
from postvirt.inspection.machine.storage import check_file_systems
from postvirt.inspection.machine.systemd_sandbox import check_systemd_sandbox
from postvirt.inspection.machine.worker_confinement import check_confinement
from postvirt.inspection.mailboxes.base import check_mailbox_base
from postvirt.inspection.mailboxes.dovecot_folders import check_dovecot_folders
from postvirt.inspection.services.master_entries import (
    check_arguments,
    check_chroot,
    check_privileged,
    check_process_limit,
)
from postvirt.inspection.services.metrics_library import check_metrics
from postvirt.inspection.services.policy_requests import check_policy_requests
from postvirt.inspection.services.program_file import check_program
from postvirt.inspection.services.transport import check_transport
from postvirt.inspection.services.warning_template import check_warning_template
from postvirt.inspection.subject import Check, FileCheck
from postvirt.inspection.tables.database_answers import check_answers
from postvirt.inspection.tables.database_files import check_database_files
from postvirt.inspection.tables.drivers import check_drivers
from postvirt.inspection.tables.file_access import check_writable
from postvirt.inspection.tables.files_of_tables import check_files_of_tables
from postvirt.inspection.tables.jailed_programs import check_jailed_programs
from postvirt.inspection.tables.kerberos_caches import check_kerberos
from postvirt.inspection.tables.opening import check_tables
from postvirt.inspection.tables.other_programs import check_proxied, check_types
from postvirt.inspection.tables.passwords import check_passwords
from postvirt.inspection.tables.source_texts import check_sources

# Of the texts of main.cf and master.cf.
OF_FILES: Sequence[FileCheck] = (
    check_last_line,
    check_names,
    check_vda_names,
    check_undefined,
    check_loops,
    check_mistakes,
    check_comments,
    check_characters,
)

# With root's rights, where the process has them.
AS_ROOT: Sequence[Check] = (
    check_privileged,
    check_metrics,
    check_policy_requests,
    check_warning_template,
    check_chroot,
    check_arguments,
    check_process_limit,
    check_program,
    check_transport,
    check_overridden,
    check_local_only,
    check_quota_parameters,
    check_folder_parameters,
    check_files_of_tables,
    check_types,
    check_proxied,
    check_interfaces,
    check_mail_log,
    check_queue_directory,
    check_systemd_sandbox,
    check_selinux,
    check_confinement,
)

# With mail_owner's rights.
AS_MAIL_OWNER: Sequence[Check] = (
    check_received,
    check_alias_domains,
    check_mailbox_base,
    check_tables,
    check_entries,
    check_dovecot_folders,
    check_writable,
    check_passwords,
    check_sources,
    check_database_files,
    check_jailed_programs,
    check_kerberos,
    check_drivers,
    check_answers,
    check_file_systems,
)
