"""The node `ssh` with a real server, which runs commands in a shell of this machine."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from subprocess import PIPE

import asyncssh
import pytest
from children import end_child, start_child
from contract import Case, Contract
from marshmallow import ValidationError
from ssh_servers import SshServer

from errors import NodeError
from nodes import REGISTRY
from nodes.credentials.types import TYPES
from packs.ssh import node as ssh

PASSWORD = "Pa'ss wörd"
SERVER_KEY, OTHER_KEY, USER_KEY = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
RSA_KEY = asyncssh.generate_private_key("ssh-rsa", key_size=2048)


def public(key):
    return key.export_public_key().decode().strip()


class Login(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == ("zoe", PASSWORD)

    def public_key_auth_supported(self):
        return True

    def validate_public_key(self, username, key):
        return username == "zoe" and key == USER_KEY.convert_to_public()


async def feed(process, pipe):
    try:
        while piece := await process.stdin.read(32_768):
            await asyncio.to_thread(pipe.write, piece)
            await asyncio.to_thread(pipe.flush)
    except (BrokenPipeError, asyncssh.SignalReceived, asyncssh.BreakReceived):
        pass  # the command does not read all of its input
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


async def copy(pipe, stream):
    with pipe:
        while piece := await asyncio.to_thread(pipe.read1, 32_768):
            with contextlib.suppress(BrokenPipeError):  # the client has disconnected
                stream.write(piece)
                await stream.drain()


class Server(SshServer):
    """Run every command; `commands` lists them all, `killed` the commands killed after the client disconnected."""

    encoding = None

    def __init__(self):
        self.commands, self.killed, self.ended = [], [], threading.Event()
        super().__init__(Login, [SERVER_KEY, RSA_KEY])

    async def handle(self, process):
        self.commands.append(process.command)
        shell = start_child(process.command, shell=True, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        try:
            await asyncio.gather(
                feed(process, shell.stdin),
                copy(shell.stdout, process.stdout),
                copy(shell.stderr, process.stderr),
                self.supervise(process, shell),
            )
            if shell.returncode < 0:
                process.exit_with_signal(signal.Signals(-shell.returncode).name.removeprefix("SIG"))
            else:
                process.exit(shell.returncode)
        except (BrokenPipeError, asyncssh.Error):
            process.close()
        finally:
            end_child(shell)

    async def supervise(self, process, shell):
        """Wait for the command, and kill it when the client disconnects."""
        while shell.poll() is None:
            if process.is_closing():
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait(60)
                self.killed.append(process.command)
                self.ended.set()
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def make_credential(server):
    """`make_credential(**changes)` returns a credential for the server."""

    def make_credential(**changes):
        data = {"host": "127.0.0.1", "port": server.port, "username": "zoe", "host_key": public(SERVER_KEY)}
        data |= {"password": PASSWORD} if "private_key" not in changes else {}
        return {"web1": ("ssh", data | changes)}

    return make_credential


@pytest.fixture
def execute(run, make_credential):
    def execute(command, credentials=None, context=None, **config):
        config |= {"credential": "web1", "command": command}
        return run("ssh", config, credentials=credentials or make_credential(), **(context or {}))

    return execute


@pytest.fixture
def fails(execute):
    def fails(command="true", **config):
        with pytest.raises(NodeError) as caught:
            execute(command, **config)
        return caught.value

    return fails


def test_a_command_returns_its_status_and_output(execute):
    assert execute("echo höre; echo no >&2") == {
        "exit_status": 0,
        "stdout": "höre\n",
        "stderr": "no\n",
        "truncated": False,
    }


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
def test_a_login_with_a_private_key_works(execute, make_credential, form):
    written = USER_KEY.export_private_key(form).decode()
    assert execute("echo in", make_credential(private_key=written))["stdout"] == "in\n"


def test_an_encrypted_key_is_opened_with_its_passphrase(execute, make_credential):
    written = USER_KEY.export_private_key("pkcs8-pem", "öffne").decode()
    assert execute("echo in", make_credential(private_key=written, passphrase="öffne"))["exit_status"] == 0


@pytest.mark.parametrize("passphrase", [{}, {"passphrase": "falsch"}])
def test_a_missing_or_wrong_passphrase_is_a_permanent_error(fails, make_credential, passphrase):
    written = USER_KEY.export_private_key("pkcs8-pem", "öffne").decode()
    error = fails(credentials=make_credential(private_key=written, **passphrase))
    assert "the private key of 'web1' cannot be read" in error.message and error.permanent


def test_an_invalid_private_key_is_a_permanent_error(fails, make_credential):
    assert fails(credentials=make_credential(private_key="-----BEGIN NOTHING-----")).permanent


@pytest.mark.parametrize("changes", [{"password": "falsch"}, {"username": "yan"}])
def test_a_rejected_login_is_a_permanent_error(fails, make_credential, changes):
    error = fails(credentials=make_credential(**changes))
    assert "rejected the login" in error.message and error.permanent and "falsch" not in error.message


@pytest.mark.parametrize("other", [OTHER_KEY, asyncssh.generate_private_key("ecdsa-sha2-nistp256")])
def test_nothing_is_sent_to_a_server_with_a_different_host_key(fails, make_credential, server, other):
    before = list(server.commands)
    error = fails(credentials=make_credential(host_key=public(other)))
    assert error.permanent and "presented a different key" in error.message
    assert SERVER_KEY.get_fingerprint() in error.message or RSA_KEY.get_fingerprint() in error.message
    assert server.commands == before and PASSWORD not in error.message


def test_the_output_of_ssh_keyscan_is_a_valid_host_key(execute, make_credential):
    printed = f"# web1:22 SSH-2.0-OpenSSH\nweb1 {public(OTHER_KEY)}\n[web1]:2222 {public(SERVER_KEY)} a comment\n"
    assert execute("echo in", make_credential(host_key=printed))["stdout"] == "in\n"
    assert execute("echo in", make_credential(host_key=public(RSA_KEY)))["stdout"] == "in\n"


@pytest.mark.parametrize("host_key", ["SHA256:abc", "ssh-ed25519", "AAAA", "-----BEGIN PUBLIC KEY-----"])
def test_an_invalid_host_key_is_rejected_when_it_is_stored(host_key):
    data = {"host": "a.example", "username": "zoe", "password": "x", "host_key": host_key}
    with pytest.raises(ValidationError) as caught:
        TYPES["ssh"].load(data)
    assert caught.value.messages.keys() == {"host_key"}


def test_ssh_keys_and_settings_of_this_machine_are_not_used(fails, make_credential, server, monkeypatch, tmp_path):
    """The server would accept the user's key, and the user's known_hosts has the key of the server."""
    home = tmp_path / ".ssh"
    home.mkdir(mode=0o700)
    (home / "id_ed25519").write_bytes(USER_KEY.export_private_key())
    (home / "id_ed25519").chmod(0o600)
    (home / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {public(SERVER_KEY)}\n")
    (home / "config").write_text(f"Host *\n  Port {server.port}\n  User zoe\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "rejected the login" in fails(credentials=make_credential(password="falsch")).message
    assert "presented a different key" in fails(credentials=make_credential(host_key=public(OTHER_KEY))).message


NASTY = ["a b", "$(touch owned)", "`id`", "'; rm -rf ~; '", '"', "\\", "*", "-n", "é\n2", "", "&& false", "!!"]


def test_each_value_in_args_is_one_word(execute):
    answer = execute("printf '%s|'", args=[*NASTY, 5, 2.0, None, {"a": [1]}, True])
    assert answer["stdout"] == "|".join([*NASTY, "5", "2", "null", '{"a": [1]}', "true"]) + "|"


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"args": "x"}, "args must be a list"),
        ({"args": ["x"] * 1_001}, "1,000 values"),
        ({"args": ["x" * 100_000]}, "pass data by stdin"),
        ({"args": ["a\0b"]}, "NUL"),
        ({"stdin": "x" * (10 * 2**20 + 1)}, "stdin must have at most"),
    ],
)
def test_an_invalid_argument_or_input_is_a_permanent_error(fails, config, part):
    error = fails("echo", **config)
    assert part in error.message and error.permanent


def test_a_command_reads_stdin(execute):
    assert execute("cat", stdin="höre\n")["stdout"] == "höre\n"
    assert execute("cat", stdin={"a": ["é"]})["stdout"] == '{"a": ["é"]}'
    assert execute("cat")["stdout"] == ""
    large = "0123456789" * 100_000
    assert execute("wc -c", stdin=large)["stdout"].strip() == "1000000"
    assert execute("exit 0", stdin=large)["exit_status"] == 0


def test_a_nonzero_status_fails_the_node_by_default(execute, fails):
    error = fails("echo no such thing >&2; exit 3")
    assert error.message == "the command exited with status 3: no such thing" and not error.permanent
    assert execute("exit 3", fail_on_status=False)["exit_status"] == 3


def test_a_command_ended_by_a_signal_names_the_signal(execute, fails):
    assert fails("kill -TERM $$").message == "the command was killed by the signal TERM"
    answer = execute("echo in; kill -KILL $$", fail_on_status=False)
    assert (answer["exit_status"], answer["signal"], answer["stdout"]) == (None, "KILL", "in\n")


def test_large_output_is_truncated_with_a_warning(execute, run):
    answer = execute("head -c 3000000 /dev/zero | tr '\\0' 'x'; echo end >&2")
    assert answer["truncated"] and answer["stdout"] == "x" * 2**20 and answer["stderr"] == "end\n"
    assert run.lines[-1][0] == "warning"


def test_invalid_utf8_in_output_is_replaced(execute):
    assert execute("printf 'a\\377b'")["stdout"] == "a\ufffdb"


def test_a_command_that_times_out_is_killed_on_the_server(fails, server):
    server.ended.clear()
    for seconds in (0.4, 2, 8, 30):
        server.commands.clear()
        began = time.monotonic()
        error = fails("sleep 60", timeout=seconds)
        assert time.monotonic() - began < seconds + 15
        assert "timed out" in error.message and not error.permanent
        if server.commands:  # else a busy host did not start the command in time
            break
    assert server.ended.wait(60) and server.killed[-1] == "sleep 60"


def test_endless_output_times_out(fails):
    assert "timed out" in fails("yes", timeout=0.6).message


def test_a_silent_server_times_out(fails, make_credential):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        assert not fails(credentials=make_credential(port=listener.getsockname()[1]), timeout=0.4).permanent
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-1.5-old\r\n", b"\0" * 5_000])
def test_a_server_of_another_protocol_is_an_error(fails, make_credential, answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)
                connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        assert fails(credentials=make_credential(port=listener.getsockname()[1]), timeout=2).message
        thread.join(60)


def test_a_refused_connection_is_a_temporary_error(fails, make_credential):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not fails(credentials=make_credential(port=port)).permanent


def test_a_server_at_a_forbidden_address_is_not_contacted(fails, make_credential, server):
    before = list(server.commands)
    error = fails(credentials=make_credential(host="127.0.0.2"))
    assert "may not be reached" in error.message and error.permanent and server.commands == before


def test_nothing_is_sent_to_a_host_outside_the_credential_binding(fails, make_credential):
    ((name, (type_, data)),) = make_credential().items()
    assert "may not be sent to" in fails(credentials={name: (type_, data, ("a.example",))}).message


@pytest.mark.parametrize("key", ["command", "args", "stdin"])
def test_a_secret_is_not_sent_to_a_host_outside_its_binding(make_ctx, make_credential, key):
    ctx, _ = make_ctx(credentials={**make_credential(), "other": ("http_bearer", {"token": "s3cret!"}, ("a.example",))})
    secret = ctx.keyring["other"]
    config = {"credential": "web1", "command": "cat", key: [secret] if key == "args" else f"cat {secret}"}
    with pytest.raises(NodeError) as caught:
        REGISTRY["ssh"].run(REGISTRY["ssh"].Config().load(config), None, ctx)
    assert "'other' may not be sent to 127.0.0.1" in caught.value.message


def check(make_ctx, credentials):
    ctx, _ = make_ctx(credentials=credentials)
    return ssh.check(ctx.credential("web1"), ctx, {})


def test_the_check_of_a_working_credential_reports_the_login(make_ctx, make_credential, server):
    before = list(server.commands)
    assert check(make_ctx, make_credential()).startswith("logged in to 127.0.0.1 as zoe (SSH-2.0-AsyncSSH")
    assert server.commands == before


def test_the_check_of_a_wrong_credential_reports_the_reason(make_ctx, make_credential):
    with pytest.raises(NodeError) as caught:
        check(make_ctx, make_credential(password="falsch"))
    assert "rejected the login of 'zoe'" in caught.value.message


@pytest.fixture
def case_ssh(make_credential, server):
    return Case(
        config={"credential": "web1", "command": "cat; echo", "args": [PASSWORD], "stdin": PASSWORD},
        credentials=make_credential(),
        secret=PASSWORD,
        stalled={"command": "sleep 60; echo"},
        count=lambda: len(server.commands),
    )


class TestSshKeepsTheContract(Contract):
    type_ = "ssh"
