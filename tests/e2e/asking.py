"""Runs in a pod: asks the URL 600 times, once as a gateway that ended TLS, once by HTTP/1.0; prints a count a line."""

import collections
import http.client
import socket
import sys
import time
import urllib.parse
import urllib.request

URL = sys.argv[1]
HOST = urllib.parse.urlsplit(URL).hostname or ""

for _ in range(300):  # until the name is known
    try:
        socket.create_connection((HOST, 80), timeout=2).close()
        break
    except OSError:
        time.sleep(0.5)

connection = http.client.HTTPConnection(HOST, 80, timeout=60)
counts: collections.Counter[str] = collections.Counter()
for _ in range(600):
    connection.request("GET", "/")
    counts[connection.getresponse().read().decode()] += 1
for mode, count in sorted(counts.items()):
    print(mode, count)

request = urllib.request.Request(URL, headers={"X-Forwarded-Proto": "https"})
with urllib.request.urlopen(request, timeout=60) as response:
    print("X-Forwarded-Proto", response.headers["x-seen-proto"])

with socket.create_connection((HOST, 80), timeout=60) as old:
    old.sendall(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
    print("HTTP/1.0", old.recv(4096).split()[1].decode())
