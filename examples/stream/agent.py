"""An agent that streams: each word of the input is an event of its own."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CARD = {
    "name": "stream",
    "version": "0.1.0",
    "description": "Answers word by word, as a language model does",
    "input": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
    "output": {"type": "object", "required": ["text"]},
    "streaming": True,
    "repeatable": True,
}
LONGEST_PAUSE_S = 5.0


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
        words = task["input"]["text"].split()
        if "text/event-stream" in self.headers.get("Accept", ""):
            self.stream(task, words)
        else:
            self.answer(200, self.result(task, words))

    def stream(self, task, words):
        """One `delta` a word, then the `result`; the connection ends it."""
        wished = float(task.get("parameters", {}).get("pause_s", 0.05))
        pause = min(max(wished, 0), LONGEST_PAUSE_S)
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in words:
            self.event("delta", {"text": word + " "})
            time.sleep(pause)
        self.event("result", self.result(task, words))

    def event(self, kind, document):
        self.wfile.write(f"event: {kind}\ndata: {json.dumps(document)}\n\n".encode())
        self.wfile.flush()

    def result(self, task, words):
        return {
            "task_id": task["task_id"],
            "status": "completed",
            "output": {"text": " ".join(words)},
            "usage": {"completion_tokens": len(words)},
        }

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
