"""What the server repeats and says while it lives."""

import threading

from tfgates_server import lifetime


def test_polling_goes_on_after_an_error(capsys):
    stopped, calls = threading.Event(), []

    def action():
        calls.append(len(calls))
        if len(calls) == 2:
            stopped.set()
        raise OSError("The disk has gone.")

    lifetime.repeat(action, 0.001, stopped).join()
    assert calls == [0, 1]
    assert capsys.readouterr().err == 2 * "server.py: The disk has gone.\n"


def test_a_closed_pipe_is_no_reason_to_stop():
    class Closed:
        def write(self, text):
            raise BrokenPipeError

        flush = write

    lifetime.say("a line", Closed())
