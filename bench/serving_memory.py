"""Memory of a server under load: is it flat?

    python bench/serving_memory.py target/release/tastemaker MODEL [MINUTES [EVENTS]]

Starts a server with an empty store, lets `tastemaker bench serve` ask it as fast as it answers, one request in ten an event (EVENTS .1), for 10 minutes,
and prints what the process holds (RssAnon, so without mapped files) every half minute, and by how much it grew from the middle to the end.
"""

import pathlib
import subprocess
import sys
import tempfile
import threading
import time

STEP = 30


def held(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def main():
    binary, model = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 10
    events = sys.argv[4] if len(sys.argv) > 4 else ".1"
    with tempfile.TemporaryDirectory(dir=".") as folder:
        server = subprocess.Popen(
            [binary, "serve", "--offline", "--addr", "127.0.0.1:0", "--model", model, "--store", f"{folder}/store.db"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            for line in server.stderr:
                if "http://" in line:
                    address = line.split("http://")[1].split()[0]
                    break
            else:
                sys.exit("the server did not start")
            # A pipe that nobody reads fills up, and the server would wait to write its log.
            threading.Thread(target=lambda: [None for _ in server.stderr], daemon=True).start()
            load = subprocess.Popen(
                [binary, "bench", "serve", "--model", model, "--addr", address, "--events", events, "--seconds", str(int(minutes * 60 / 1.2))],
                stdout=subprocess.PIPE, text=True)
            began, seen = time.monotonic(), [held(server.pid)]
            print(f"{0:6.1f} min {seen[0]:8.1f} MB", flush=True)
            while load.poll() is None:
                time.sleep(STEP)
                seen.append(held(server.pid))
                print(f"{(time.monotonic() - began) / 60:6.1f} min {seen[-1]:8.1f} MB", flush=True)
            print(load.communicate()[0])
            middle = seen[len(seen) // 2]
            print(f"from the middle to the end: {seen[-1] - middle:+.1f} MB, {100 * (seen[-1] / middle - 1):+.1f} %")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
