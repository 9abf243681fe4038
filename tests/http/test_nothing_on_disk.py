"""Nothing of a request is written to disk, however large it is."""

import json
import subprocess
import sys

from tests.conftest import REPOSITORY

WATCHED = """
import base64, json, os, sys, tempfile

import numpy as np

from tests.http.service import Service, encoded, random_capture

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND

def watch(event, arguments):
    opened_to_write = event == "open" and arguments[2] & WRITING
    if opened_to_write or event.startswith("tempfile."):
        seen.append(f"{event} {arguments}")

def post(path, **body):
    assert service.client.post(path, **body).status_code == 200

def post_in_every_form(image):
    text = base64.b64encode(image).decode()
    part = ("image", ("photo.bmp", image))
    post("/quality", content=image, headers={"content-type": "image/bmp"})
    post("/quality", files=[part])
    post("/quality", json={"image": text})
    post("/quality/batch", files=[part] * 4)
    post("/quality/batch", json={"images": [text] * 4})

seen = []
noise = np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), dtype=np.uint8)
with Service() as service:
    post_in_every_form(random_capture())  # all is imported then
    sys.addaudithook(watch)
    post_in_every_form(encoded(noise, "BMP"))  # 5 MB
    print(json.dumps(seen))
    tempfile.TemporaryFile().close()
    print(json.dumps(seen))
"""


def test_no_file_is_opened_to_write_while_megabytes_are_assessed():
    command = [sys.executable, "-B", "-c", WATCHED]
    output = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    of_requests, with_one_on_purpose = map(json.loads, output.stdout.splitlines())
    assert of_requests == []
    assert with_one_on_purpose
