"""llama-server as a side of requests.py: the very requests, over HTTP."""
import concurrent.futures
import http.client
import json
import os
import time

import request_sides
import rivals
import servers


class Http(servers.Server):
    """Ready when the model is loaded, not when the port is open."""

    def is_ready(self):
        try:
            return self.ask("GET", "/health", None)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, method, path, body):
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       request_sides.RUN_LIMIT_SEC)
        try:
            c.request(method, path, body, {"Content-Type": "application/json"})
            answer = c.getresponse()
            return answer.status, answer.read()
        finally:
            c.close()


class LlamaServer:
    """
    @param slots  sequences at once.
    """
    name = "llama-server"
    variants = [("-fa", "on"), ("-fa", "off")]

    def __init__(self, program, cores, slots):
        self.program = os.path.abspath(program)
        self.threads = cores
        self.slots = slots

    def command(self, files, workload, flags):
        cells = self.slots * (-(-workload.longest // 256) * 256)
        # No idle slot is saved for later: nobody asks the same again.
        return lambda port: [
            self.program, "-m", files.theirs_vocabulary, "--host",
            "127.0.0.1", "--port", str(port), "-t", str(self.threads), "-tb",
            str(self.threads), "-np", str(self.slots), "-c", str(cells), "-b",
            "2048", "-ub", "512", "--cache-ram", "0", "--threads-http",
            str(2 * self.slots + 2), *flags]

    def try_out(self, files, workload, flags):
        return self.measure(files, workload.head(self.slots), flags)[0]

    def measure(self, files, workload, flags):
        log = os.path.join(files.folder, "llama-server.log")
        with Http(self.command(files, workload, flags), log) as server:
            start = time.monotonic()
            # Twice as many as slots, so that a slot never waits for us.
            with concurrent.futures.ThreadPoolExecutor(2 * self.slots) as pool:
                try:
                    list(pool.map(lambda x: answer(server, x),
                                  workload.requests))
                except BaseException:
                    server.end()  # else the pool waits for what is asked
                    raise
            sec = time.monotonic() - start
        return [request_sides.Figures(
            " ".join([*flags, "-np", str(self.slots)]), sec)]


def answer(server, request):
    """Ask, and see that the answer is as long as was asked for."""
    body = json.dumps({
        "prompt": request.prompt, "n_predict": request.new,
        "temperature": 0, "ignore_eos": True, "cache_prompt": False})
    try:
        status, data = server.ask("POST", "/completion", body)
    except (OSError, http.client.HTTPException) as error:
        raise rivals.Failed(f"llama-server: {request.name}: {error!r}: "
                            f"{server.said()}")
    text = data.decode("utf-8", "replace")
    if status != 200:
        raise rivals.Failed(f"llama-server: {request.name}: {text[:300]}")
    try:
        said = json.loads(text)
        found = said["tokens_evaluated"], said["tokens_predicted"]
    except (ValueError, KeyError, TypeError):
        raise rivals.Failed(f"llama-server: {request.name}: no answer: "
                            f"{text[:300]}")
    request_sides.check_tokens("llama-server", request, found)
