"""The requests that requests.py has answered: how long they are, drawn from a
seed, and what all of them come to."""
import json
import random
from dataclasses import dataclass

# Every vocabulary has these ids, and none of them is a control token.
FIRST_ID, END_ID = 300, 32000


@dataclass
class Request:
    name: str
    prompt: list  # of token ids
    new: int  # tokens to write

    def line(self):
        """As a line of a batch file."""
        return json.dumps({"custom_id": self.name, "body": {
            "prompt": self.prompt, "max_tokens": self.new, "temperature": 0,
            "ignore_eos": True}})


class Workload:
    """Requests under a name that tells all that they were drawn from."""

    def __init__(self, name, requests):
        self.name = name
        self.requests = requests
        self.count = len(requests)
        self.prompt_tokens = sum(len(x.prompt) for x in requests)
        self.new_tokens = sum(x.new for x in requests)
        self.tokens = self.prompt_tokens + self.new_tokens
        self.longest = max(len(x.prompt) + x.new for x in requests)

    def mean_prompt(self):
        return max(1, round(self.prompt_tokens / self.count))

    def steps(self):
        """Decode steps of all requests: the first new token of each comes
        from its prompt."""
        return self.new_tokens - self.count

    def mean_steps(self):
        return max(1, round(self.steps() / self.count))

    def head(self, count):
        return Workload(self.name, self.requests[:count])

    def write(self, path):
        with open(path, "w") as f:
            f.writelines(request.line() + "\n" for request in self.requests)


def draw(kind, count, prompt, new, seed, common=0):
    """`count` requests; lengths are uniform in the ranges (low, high).

    @param common  tokens that all prompts begin with, in their lengths.
    """
    chance = random.Random(f"{kind} {seed}")
    beginning = [chance.randrange(FIRST_ID, END_ID) for _ in range(common)]
    low, high = max(prompt[0], common + 1), max(prompt[1], common + 1)
    requests = []
    for i in range(count):
        own = chance.randint(low, high) - common
        requests.append(Request(
            f"r{i}", beginning + [chance.randrange(FIRST_ID, END_ID)
                                  for _ in range(own)],
            chance.randint(*new)))
    shared = f"({common} shared)" if common else ""
    return Workload(f"{kind}/{count}x{low}-{high}{shared}+{new[0]}-{new[1]}"
                    f"/seed{seed}", requests)
