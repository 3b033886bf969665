import pytest

from supervisor.kinds import shell_variables


@pytest.mark.parametrize(
    "name",
    ["DO_NOT_TRACK", "DISABLE_TELEMETRY", "GODOT_AI_DISABLE_TELEMETRY", "DOTNET_CLI_TELEMETRY_OPTOUT",
     "NEXT_TELEMETRY_DISABLED", "HF_HUB_DISABLE_TELEMETRY", "NO_ANALYTICS", "MY_TELEMETRY"],
)  # fmt: skip
def test_opt_outs_are_known_by_their_names(name: str) -> None:
    assert shell_variables.opt_out_variables({name: "1"}) == {name}


@pytest.mark.parametrize("name", ["PATH", "HOME", "NO_COLOR", "TRACKER", "TELEMETRY_TOKEN", "NO_PROXY"])
def test_other_variables_are_no_opt_outs(name: str) -> None:
    assert shell_variables.opt_out_variables({name: "1"}) == frozenset()


def test_an_empty_variable_is_not_set() -> None:
    assert shell_variables.opt_out_variables({"DO_NOT_TRACK": ""}) == frozenset()


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "all_proxy", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "SSL_CERT_FILE"]
)
def test_network_variables_are_known_by_their_names(name: str) -> None:
    assert shell_variables.network_variables({name: "http://user:secret@x"}) == {name}


def test_clients_get_names_and_no_values() -> None:
    environment = {"HTTPS_PROXY": "http://user:secret@x", "DO_NOT_TRACK": "1", "API_KEY": "s"}
    assert shell_variables.names_for_clients(environment) == ("DO_NOT_TRACK", "HTTPS_PROXY")
