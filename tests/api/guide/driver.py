"""Runs the guide's Python client as each line of the input says, and prints a line of JSON for each."""

import json
import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import client as guide

base, kept = sys.argv[2], pathlib.Path(sys.argv[3])


def save(refresh_token):
    if refresh_token is None:
        kept.unlink(missing_ok=True)
    else:
        kept.write_text(refresh_token)


def told(do):
    try:
        answer = do()
    except guide.SignInAgain as why:
        return {"kind": "sign_in", "text": str(why)}
    except guide.Refused as why:
        return {"kind": "refused", "action": why.action, "text": str(why)}
    except Exception as fault:
        return {"kind": "fault", "text": repr(fault)}
    return {"kind": "answer", "body": answer.json() if answer is not None and answer.content else None}


held = kept.read_text() if kept.is_file() else None
client = guide.Doorward(base, held, save)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "call":
        def call(_):
            return told(lambda: client.call(asked["method"], asked["path"], json=asked["json"]))

        with ThreadPoolExecutor(asked["times"]) as threads:
            answer = list(threads.map(call, range(asked["times"])))
    elif asked["do"] == "sign_in":
        answer = [told(lambda: client.sign_in("alice", asked["password"], device="the guide"))]
    elif asked["do"] == "step_up":
        answer = [told(lambda: client.step_up(asked["password"]))]
    else:
        answer = [told(client.sign_out)]
    print(json.dumps(answer), flush=True)
