"""A language model for tests: a real HTTP server on 127.0.0.1 that returns the answers of a script in order.

It speaks OpenAI's chat completions (`POST /v1/chat/completions`) and Anthropic's messages (`POST /v1/messages`), whole
and as a stream, and lists models (`GET /v1/models`). Use it as a context:

    with LlmServer([call("http_request", {"url": "…"}), say("Done.")]) as server:
        ...  # OPENAI_BASE_URL is server.openai_url, ANTHROPIC_BASE_URL is server.anthropic_url
    assert server.requests[0].tools == ["http_request"]

A turn of the script is made by one of the functions here, or is a function from the Request to a turn.
"""

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OUTPUT_TOOL = "final_result"
PIECE = 64 * 1024


@dataclass(frozen=True)
class Turn:
    """The answer to one request. `calls` are (name, arguments as text); name None is the first offered tool.

    `output` is passed to the output tool. With `status`, `raw` or `drop` it is not an answer of a model. `tokens` are
    (in, out); by default a quarter of the characters. After so many events of a stream (`after`) the answer stalls or
    the connection drops; each of its events comes after a `pause` in seconds.
    """

    text: str = ""
    calls: tuple[tuple[str | None, str], ...] = ()
    output: Any = None
    finish: str | None = None
    tokens: tuple[int, int] | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str | None = None
    until: threading.Event | None = None
    comments: bool = False
    pause: float = 0
    drop: bool = False
    after: int = 0
    again: bool = False


def say(text, **more):
    """Return a text of the model. `finish="length"` truncates it; `tokens=(in, out)` is its usage."""
    return Turn(text=text, **more)


def call(tool, arguments=None, **more):
    """Return a call of a tool; `text="…"` is text beside it."""
    return calls([(tool, arguments)], **more)


def calls(several, **more):
    """Return several calls at once: [(name, arguments), …]."""
    return Turn(calls=tuple((name, json.dumps(arguments or {})) for name, arguments in several), **more)


def raw_tool_arguments(text, tool=None, **more):
    """Return a call of a tool, by default the first one offered, with arguments that need not be JSON."""
    return Turn(calls=((tool, text),), **more)


def data(value, **more):
    """Return an answer with data: by the output tool if one is offered, else as JSON text."""
    return Turn(output=value, **more)


def status(code, headers=None, message=None):
    """Return an HTTP status instead of an answer."""
    error = {"error": {"type": "error", "message": message or f"the script says {code}"}}
    return raw(json.dumps(error).encode(), "application/json", status=code, headers=dict(headers or {}))


def raw(body, content_type=None, **more):
    """Return a body as it is; `status=400` is its status, 200 by default, `headers={…}` are additional."""
    return Turn(raw=body, content_type=content_type, **more)


def stall(event, after=0, then=None, comments=False):
    """Stall after `after` events of a stream until `event` is set, then send the rest of `then`.

    With `comments`, the stream has comments while it stalls, as servers send them to keep a connection open.
    """
    return replace(then or say("late"), until=event, after=after, comments=comments)


def huge(size, **more):
    """Return an answer of at least so many bytes."""
    return Turn(text="x" * size, **more)


def drop_connection(after=0, then=None):
    """Close the connection without an answer, or within a stream after so many events."""
    return replace(then or say("never heard"), drop=True, after=after)


def forever(turn):
    """Repeat this turn forever; later turns of the script are not reached."""
    if callable(turn):
        return Turn(output=turn, again=True)
    return replace(turn, again=True)


@dataclass
class Request:
    """One request. The names of `headers` are in lower case; `body` is the JSON, or None for a GET.

    `hung_up` is set when the client closes the connection before it has the whole answer.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    hung_up: threading.Event = field(default_factory=threading.Event)

    @property
    def streams(self):
        return bool((self.body or {}).get("stream"))

    @property
    def anthropic(self):
        return self.path.partition("?")[0].endswith("/messages")

    @property
    def messages(self):
        return self.body["messages"]

    @property
    def tools(self):
        """Return the names of the offered tools."""
        return [tool["function"]["name"] if "function" in tool else tool["name"] for tool in self.body.get("tools", ())]

    @property
    def text(self):
        """Return the whole body as JSON text, for searching."""
        return json.dumps(self.body, ensure_ascii=False)


class LlmServer:
    """The server; `requests` are requests to a model, `others` the rest. Thread-safe.

    With `api_key`, another key is refused with 401 and a message that repeats the key. With `models`, any other model
    is refused with 404. `tls` is the context of a server that speaks https. After its last turn it answers 400.
    """

    def __init__(self, turns=(), api_key=None, models=None, tls=None):
        self.requests: list[Request] = []
        self.others: list[Request] = []
        self.api_key, self.models = api_key, models
        self.closing = threading.Event()
        self._lock = threading.Condition()
        self._turns: deque[Any] = deque([turns] if isinstance(turns, Turn) or callable(turns) else turns)
        self._ids = 0
        self._http = _Http(self, tls)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), name="llm-server")
        self.host, self.port = "127.0.0.1", self._http.server_address[1]
        self.anthropic_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.openai_url = f"{self.anthropic_url}/v1"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Close every connection and wait for the threads."""
        self.closing.set()
        self._http.shutdown()
        self._thread.join(60)
        self._http.hang_up()
        self._http.server_close()

    def then(self, *turns):
        """Append turns to the script."""
        with self._lock:
            self._turns += turns

    def start_over(self, *turns):
        """Replace the rest of the script by these turns."""
        with self._lock:
            self._turns = deque(turns)

    @property
    def turns_left(self):
        with self._lock:
            return len(self._turns)

    def wait_for_requests(self, count, seconds=60):
        """Return the requests as soon as so many have arrived."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.requests) >= count, seconds), "fewer requests came"
            return list(self.requests)

    def note(self, request, asked_a_model):
        with self._lock:
            (self.requests if asked_a_model else self.others).append(request)
            self._lock.notify_all()

    def next_turn(self, request):
        """Return the turn for this request. Functions of the script run one at a time."""
        with self._lock:
            if not self._turns:
                return status(400, message="the script has no more turns")
            turn = self._turns[0]
            if not (isinstance(turn, Turn) and turn.again):
                self._turns.popleft()
            while not isinstance(turn, Turn) or callable(turn.output):
                turn = (turn.output if isinstance(turn, Turn) else turn)(request)
            return turn

    def next_id(self):
        with self._lock:
            self._ids += 1
            return self._ids


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, script, tls):
        self.script, self._open, self._lock = script, set(), threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def process_request(self, request, client_address):
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        with self._lock:
            for connection in self._open:
                _shut(connection)

    def handle_error(self, request, client_address):
        """Ignore errors caused by a client that disconnects early."""


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side closed first


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def log_message(self, format, *args):
        """Log nothing."""

    def do_GET(self):
        request = self.received(None)
        self.server.script.note(request, asked_a_model=False)
        if not self.refused(request):
            names = self.server.script.models or ("model-a", "model-b")
            listed = [{"id": name, "object": "model", "type": "model", "display_name": name} for name in names]
            self.whole(200, json.dumps({"object": "list", "data": listed, "has_more": False}).encode())

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        request = self.received(json.loads(self.rfile.read(length) or b"null"))
        asked_a_model = request.path.partition("?")[0].endswith(("/v1/chat/completions", "/v1/messages"))
        self.server.script.note(request, asked_a_model)
        if not self.refused(request):
            self.answer(request, self.server.script.next_turn(request))

    def received(self, body):
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, headers, body)

    def refused(self, request):
        """Return True if the request was answered with an error for its key, path or model."""
        script, headers = self.server.script, request.headers
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        model, known = (request.body or {}).get("model"), script.models
        if script.api_key is not None and key != script.api_key:
            self.failed(401, f"Incorrect API key provided: {key}.")
        elif not request.path.partition("?")[0].endswith(("/v1/chat/completions", "/v1/messages", "/v1/models")):
            self.failed(404, f"there is nothing at {request.path}")
        elif model is not None and known is not None and model not in known:
            self.failed(404, f"The model `{model}` does not exist or you do not have access to it.")
        else:
            return False
        return True

    def failed(self, code, message):
        self.whole(code, json.dumps({"error": {"type": "invalid_request_error", "message": message}}).encode())

    def whole(self, code, body, headers=None, content_type="application/json"):
        self.send_response(code)
        for name, value in {"content-type": content_type, "content-length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        try:
            for start in range(0, len(body), PIECE):
                self.wfile.write(body[start : start + PIECE])
        except OSError:
            self.close_connection = True

    def answer(self, request, turn):
        if turn.raw is not None:
            usual = "text/event-stream" if request.streams and turn.status == 200 else "application/json"
            self.whole(turn.status, turn.raw, turn.headers, turn.content_type or usual)
            return
        reply = _Reply(request, turn, self.server.script.next_id)
        speaks = _anthropic if request.anthropic else _openai
        if request.streams:
            self.streamed(request, turn, speaks[1](reply))
        elif turn.drop or (turn.until and not self.waited(request, turn)):
            self.hang_up()
        else:
            self.whole(200, json.dumps(speaks[0](reply)).encode(), turn.headers)

    def streamed(self, request, turn, events):
        self.fault = turn if turn.until or turn.drop else None
        if turn.after == 0 and not self.goes_on(request, 0):
            return
        self.send_response(200)
        for name, value in {"content-type": "text/event-stream", "transfer-encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for number, event in enumerate(events):
                if number and not self.goes_on(request, number):
                    return
                time.sleep(turn.pause)
                self.chunk(event)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            request.hung_up.set()
            self.close_connection = True

    def goes_on(self, request, number):
        """Return True if another event of the stream should be sent after so many."""
        turn = self.fault
        if turn is None or number != turn.after:
            return True
        if not turn.drop and self.waited(request, turn):
            return True
        self.hang_up()
        return False

    def waited(self, request, turn):
        """Wait for the turn's event. Return False if the client has disconnected or the server closes."""
        while not turn.until.wait(0.01):
            if self.server.script.closing.is_set():
                return False
            if turn.comments and turn.after:
                self.chunk(b": still here\n\n")
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                request.hung_up.set()
                return False
        return True

    def hang_up(self):
        self.close_connection = True
        _shut(self.connection)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()


class _Reply:
    """A turn as the answer to a request: with ids of calls, and usage."""

    def __init__(self, request, turn, next_id: Callable[[], int]):
        self.model = request.body.get("model", "scripted")
        self.id = f"answer_{next_id()}"
        self.text = turn.text
        pairs = list(turn.calls)
        if turn.output is not None:
            tool = next((name for name in request.tools if name.startswith(OUTPUT_TOOL)), None)
            written = json.dumps(turn.output)
            if tool is None:
                self.text += written
            else:
                pairs.append((tool, written))
        first = next(iter(request.tools), "none")
        self.calls = [(f"call_{next_id()}", name or first, arguments) for name, arguments in pairs]
        self.finish = turn.finish
        out = len(self.text) + sum(len(name) + len(arguments) for _, name, arguments in self.calls)
        self.tokens = turn.tokens or (len(request.text) // 4 + 1, out // 4 + 1)
        self.counted = bool((request.body.get("stream_options") or {}).get("include_usage"))

    def finished(self, stop, tools, length):
        """Return the finish reason in the terms of the API in use."""
        if self.finish == "length":
            return length
        return self.finish or (tools if self.calls else stop)


def _pieces(text):
    """Return a text in several pieces, as a model streams it."""
    size = min(max(1, -(-len(text) // 4)), PIECE)
    return [text[start : start + size] for start in range(0, len(text), size)]


def _openai_usage(reply):
    used_in, used_out = reply.tokens
    return {"prompt_tokens": used_in, "completion_tokens": used_out, "total_tokens": used_in + used_out}


def _openai_whole(reply):
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in reply.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": reply.finished("stop", "tool_calls", "length")}
    about = {"id": reply.id, "object": "chat.completion", "created": 1_700_000_000, "model": reply.model}
    return {**about, "choices": [choice], "usage": _openai_usage(reply)}


def _openai_stream(reply):
    about = {"id": reply.id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": reply.model}

    def event(delta, finish=None):
        return _data({**about, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield event({"role": "assistant", "content": ""})
    for piece in _pieces(reply.text):
        yield event({"content": piece})
    for index, (id_, name, arguments) in enumerate(reply.calls):
        function = {"name": name, "arguments": ""}
        yield event({"tool_calls": [{"index": index, "id": id_, "type": "function", "function": function}]})
        for piece in _pieces(arguments):
            yield event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield event({}, reply.finished("stop", "tool_calls", "length"))
    if reply.counted:
        yield _data({**about, "choices": [], "usage": _openai_usage(reply)})
    yield b"data: [DONE]\n\n"


def _anthropic_whole(reply):
    content = [{"type": "text", "text": reply.text}] if reply.text else []
    for id_, name, arguments in reply.calls:
        try:
            asked = json.loads(arguments)
        except ValueError:
            asked = arguments
        content.append({"type": "tool_use", "id": id_, "name": name, "input": asked})
    return {
        **_anthropic_message(reply),
        "content": content,
        "stop_reason": reply.finished("end_turn", "tool_use", "max_tokens"),
        "usage": {"input_tokens": reply.tokens[0], "output_tokens": reply.tokens[1]},
    }


def _anthropic_message(reply):
    about = {"id": reply.id, "type": "message", "role": "assistant", "model": reply.model, "content": []}
    return {**about, "stop_reason": None, "stop_sequence": None}


def _anthropic_stream(reply):
    usage = {"input_tokens": reply.tokens[0], "output_tokens": 1}
    yield _event("message_start", message={**_anthropic_message(reply), "usage": usage})
    blocks = [({"type": "text", "text": ""}, "text_delta", "text", reply.text)] if reply.text else []
    for id_, name, arguments in reply.calls:
        block = {"type": "tool_use", "id": id_, "name": name, "input": {}}
        blocks.append((block, "input_json_delta", "partial_json", arguments))
    for index, (block, kind, key, content) in enumerate(blocks):
        yield _event("content_block_start", index=index, content_block=block)
        for piece in _pieces(content):
            yield _event("content_block_delta", index=index, delta={"type": kind, key: piece})
        yield _event("content_block_stop", index=index)
    stop = reply.finished("end_turn", "tool_use", "max_tokens")
    delta = {"stop_reason": stop, "stop_sequence": None}
    yield _event("message_delta", delta=delta, usage={"output_tokens": reply.tokens[1]})
    yield _event("message_stop")


def _data(value):
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _event(type_, **more):
    return f"event: {type_}\n".encode() + _data({"type": type_, **more})


_openai = (_openai_whole, _openai_stream)
_anthropic = (_anthropic_whole, _anthropic_stream)
