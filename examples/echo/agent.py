"""The reference agent: the three requests that an agent answers, in plain Python."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CARD = {
    "name": "echo",
    "version": "0.1.0",
    "description": "Answers every task with its own input",
    "input": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
    "output": {"type": "object"},
    "streaming": False,
    "repeatable": True,
}


class Agent(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the last ACK

    def do_GET(self):
        answers = {"/health": {"status": "ok"}, "/agent": CARD}
        if self.path in answers:
            self.answer(200, answers[self.path])
        else:
            self.answer(404, {"title": "Not found", "status": 404})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/run_task":
            self.answer(404, {"title": "Not found", "status": 404})
            return
        task = json.loads(body)
        self.answer(
            200,
            {
                "task_id": task["task_id"],
                "status": "completed",
                "output": task["input"],
                "usage": {},
            },
        )

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        print(format % arguments, flush=True)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8000), Agent).serve_forever()
