import pytest

from supervisor.core.symptoms import IN_FOREGROUND, Symptoms, diagnose

HTTP = {"http": 8000}
BOTH = {"http": 8000, "ws": 9500}


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (Symptoms(HTTP), "it runs, but listens on no port"),
        (Symptoms(HTTP, [("::1", 8000)]), "it listens on ::1 only, not on 127.0.0.1"),
        (Symptoms(HTTP, [("192.168.1.5", 8000)]), "it listens on 192.168.1.5 only, not on 127.0.0.1"),
        (Symptoms(HTTP, [("127.0.0.1", 8001)]), "it listens on 8001, not on 8000"),
        (Symptoms(HTTP, [("::1", 8001)]), "it listens on 8001, not on 8000"),
        (Symptoms(BOTH, [("0.0.0.0", 8000)]), "ws 9500 is not open yet"),
        (Symptoms(BOTH, [("::", 8000), ("::1", 9500)]), "it listens on ::1 only, not on 127.0.0.1"),
        (Symptoms(BOTH, [("::", 8000), ("::", 7000)]), "ws 9500 is not open yet; it listens on 7000 too"),
        (Symptoms(BOTH), "it runs, but listens on no port"),
        (Symptoms(HTTP, [("::", 8000)], "GET / answers 404"), "GET / answers 404"),
        (Symptoms(HTTP, [], "GET / answers 404"), "it runs, but listens on no port"),
        (Symptoms(HTTP, background=(7, 3)), "it puts itself into the background (pid 3, 7), and listens on no port"),
        (
            Symptoms(HTTP, [("::", 8001)], background=(7,)),
            "it puts itself into the background (pid 7), and listens on 8001, not on 8000",
        ),
        (Symptoms({}, background=(7,)), "it puts itself into the background (pid 7)"),
    ],
)
def test_diagnosis_names_the_last_symptom(seen: Symptoms, problem: str) -> None:
    assert diagnose(seen).problem == problem


def test_diagnosis_names_a_limited_number_of_ports() -> None:
    told = diagnose(Symptoms(HTTP, [("::", 9000 + number) for number in range(50)])).problem
    assert told.endswith("9007 and 42 more, not on 8000")


@pytest.mark.parametrize(
    ("seen", "advice"),
    [
        (Symptoms(HTTP, background=(7,)), IN_FOREGROUND),
        (Symptoms(HTTP, [("::1", 8000)]), "have it listen on 127.0.0.1"),
        (Symptoms(HTTP, told_ports=False), "never mentions the port"),
        (Symptoms(HTTP, [("::", 8000)], "GET / answers 307 to /x/; redirects are not followed"), "identify.http"),
        (Symptoms(HTTP, [("::", 8000)], "GET / answers 401: it wants a bearer that we do not have"), "status = 401"),
        (Symptoms(HTTP, [("::", 8000)], "the answer is not JSON"), "without identify.match"),
        (Symptoms(HTTP, [("::", 8000)], "the answer is not HTTP: it speaks TLS"), "switch TLS off"),
    ],
)
def test_diagnosis_gives_advice(seen: Symptoms, advice: str) -> None:
    assert advice in (diagnose(seen).advice or "")
