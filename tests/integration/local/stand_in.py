"""A service that is none: answers every request, and behaves as badly as its test wants.

Run as a program: `python stand_in.py PORT BEHAVIOR`.
"""

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = f"{sys.argv[1]} {self.command} {self.path} {len(self.rfile.read(length))}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = answer  # noqa: N815 - the base's names
    do_POST = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


def leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    behavior = sys.argv[2]
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behavior == "stubborn" else leave)
    sys.stderr.write("the stand-in starts\n")
    if behavior == "broken":
        sys.exit("the stand-in is broken on purpose")
    if behavior == "disk-full":
        sys.exit("write: No space left on device")
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
