"""Every public function is described where it stands, and the words of both languages are the same."""

import ast
import re

import ldi_test

# What both languages have, with the Python module.
SHARED = {
    "log_tools": "log_error log_warning log_info log_debug",
    "fact_tools": "ldi_fact",
    "job_tools": "ldi_secret",
    "user_tools": "ldi_notify",
    "shell_tools": "noop would retry with_lock",
    "net_tools": "download",
    "fs_tools": "sha256 ensure_file ensure_line diff_replace",
    "plist_tools": "plist_read plist_write",
    "service_tools": "service_status service_start service_stop service_restart service_enable service_disable service_install",
    "package_tools": "package_version package_installed package_install",
    "collect_tools": "stable",
}

ORIGINAL = """
    autoinit source_files_in_dir is_in_array start prep finish diff_replace check_corp check_internet wait_for_corp
    wait_for_internet print_red print_lightred print_green print_lightgreen print_yellow set_local_time
    ldi_sh_run ldi_func_run ldi_py_run pyexec
    copy create_file get_creation_time get_pickle move mkdir mktempdir read_file remove timestamp_file write_file
    write_pickle verify_pickle check_corp_network check_network run sanitize_output get_unix_time get_shard
    get_os_version get_serial get_model get_uptime get_total_memory get_used_memory get_computer_name
    get_free_hd_space get_hd_capacity get_time_since is_process_running kill_process log sleep enough_space
    configure_time install_pkg launchctl_load launchctl_reload launchctl_unload query_profiler prompt binary_prompt
    status bind_to_ad is_bound_to_ad create_mobile_account make_admin flush_ad_cache auth_init casper_tools junos_tools
"""


def bash_functions():
    """{name: the comment lines right above it}"""
    found = {}
    for path in sorted(ldi_test.tree.glob("modules/*.sh")):
        above = []
        for line in path.read_text().splitlines():
            function = re.match(r"([a-z]\w*)\(\) ", line)
            if function:
                found[function.group(1)] = above
            above = above + [line] if line.startswith("#") else []
    return found


def python_functions():
    """{module.name: its docstring or None}"""
    found = {}
    for path in sorted(ldi_test.tree.glob("modules/*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                found["%s.%s" % (path.stem, node.name)] = ast.get_docstring(node)
    return found


def test_bash_functions_begin_with_their_usage():
    # NAME ARG… : what it does
    faults = [
        name
        for name, above in bash_functions().items()
        if not above or not re.match(r"# %s(| [^:]+): \S" % re.escape(name), above[0])
    ]
    assert not faults, faults


def test_python_functions_say_what_they_do_in_one_line():
    faults = [
        name
        for name, text in python_functions().items()
        if not text or not text.splitlines()[0].endswith((".", ";", ":"))
    ]
    assert not faults, faults


def test_the_words_of_both_languages():
    bash, python = bash_functions(), python_functions()
    for module, names in SHARED.items():
        for name in names.split():
            assert name in bash, name
            assert "%s.%s" % (module, name) in python, name


def test_the_reference_lists_them():
    text = (ldi_test.tree / "docs/library.md").read_text()
    for names in SHARED.values():
        for name in names.split():
            assert "`%s" % name in text, name


def test_the_guide_for_moving_names_all_that_the_original_had():
    text = (ldi_test.tree / "docs/moving.md").read_text()
    missing = [name for name in ORIGINAL.split() if not re.search(r"[`.]%s[`.( ]" % name, text)]
    assert not missing, missing
