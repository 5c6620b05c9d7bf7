"""rig.py - what the bench and the crash rounds share: a certificate, a gateway, its peers, the load client.

Standard library only.  Everything listens on 127.0.0.1 on a free port and lives below one temporary folder.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.parse

HOST_NAME = "localhost"
DEVICE_KEY = base64.b64encode(bytes(range(32))).decode()
SECOND_KEY = base64.b64encode(bytes(range(32, 64))).decode()


class RigError(Exception):
    """Something of the rig did not come up or went away; the text says what."""


def raise_file_limit(wanted=16384):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(max(soft, wanted), hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_file(path, text, mode=0o600):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as out:
        out.write(text)
    return path


def make_certificate(folder):
    """A self-signed ECDSA P-256 certificate for localhost, the same for every server; returns (certificate, key)."""
    certificate, key = os.path.join(folder, "server.pem"), os.path.join(folder, "server.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key,
         "-out", certificate], check=True, capture_output=True)
    return certificate, key


def wait_for_port(port, process, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RigError(f"the server ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.005)
    raise RigError(f"nothing listens on port {port} after {seconds} s")


def find_server(name, *folders):
    """Servers of Debian are where only root looks for programs, some in folders of their own."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"])
    binary = next((os.path.join(d, name) for d in path.split(os.pathsep) if os.access(os.path.join(d, name), os.X_OK)),
                  None)
    if binary is None:
        raise RigError(f"{name} is not installed (apt-get install {name})")
    return binary


def process_cpu_seconds(pid):
    tasks = f"/proc/{pid}/task"
    total = 0
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/schedstat", encoding="ascii") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def process_resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise RigError("no VmRSS")


def process_name(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as name:
        return name.read().strip()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as listed:
        return [int(child) for child in listed.read().split()]


class Server:
    """A server process: CPU seconds over all its threads, resident memory, and its end."""

    websocket_path = None
    amqp_port = None

    def __init__(self, port, websocket_port=None):
        self.port = port
        self.websocket_port = websocket_port
        self.process = None

    def way(self, over):
        """What tells the load client to come over "mqtt", "websocket" or "amqp", and as whom."""
        if over == "amqp":
            return ["--port", str(self.amqp_port), "--amqp", *self.amqp_options]
        if over == "mqtt":
            return ["--port", str(self.port), *self.load_options]
        return ["--port", str(self.websocket_port), "--websocket", self.websocket_path, *self.load_options]

    def launch(self, command, log_path, environment=None, seconds=20):
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        for port in filter(None, [self.port, self.websocket_port, self.amqp_port]):
            wait_for_port(port, self.process, seconds)

    def cpu_seconds(self):
        return process_cpu_seconds(self.process.pid)

    def resident_bytes(self):
        return process_resident_bytes(self.process.pid)

    def kill(self):
        """kill -9, and wait until it is gone."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self):
        if not self.process or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired as late:
            self.kill()
            raise RigError("the server did not stop within 30 s of SIGTERM") from late


class Gateway(Server):
    websocket_path = "/$iothub/websocket"

    def __init__(self, binary, folder, certificate, partitions=4):
        super().__init__(free_port(), free_port())
        self.https_port = self.websocket_port
        self.amqp_port = free_port()
        self.binary = os.path.abspath(binary)
        self.log_path = os.path.join(folder, "gatehouse.log")
        self.config = write_file(os.path.join(folder, "gatehouse.yaml"), "\n".join([
            f"hostName: {HOST_NAME}",
            f"dataDir: {os.path.join(folder, 'data')}",
            "log:", "  level: warning",
            "tls:", f"  certificateFile: {certificate[0]}", f"  keyFile: {certificate[1]}",
            "listeners:", "  mqtt:", "    address: 127.0.0.1", f"    port: {self.port}",
            "  https:", "    address: 127.0.0.1", f"    port: {self.https_port}",
            "  amqp:", "    address: 127.0.0.1", f"    port: {self.amqp_port}",
            "embedded:", f"  partitions: {partitions}",
            ""]))
        os.makedirs(os.path.join(folder, "data"), mode=0o700, exist_ok=True)

    def start(self):
        self.launch([self.binary, "serve", "-c", self.config], self.log_path)

    def run(self, *arguments):
        return subprocess.run([self.binary, *arguments, "-c", self.config], check=True, capture_output=True, text=True)

    def make_policy(self, name):
        """A policy that may do anything to the registry: (name, key)."""
        self.run("policy", "create", name, "--rights", "RegistryRead,RegistryWrite,ServiceConnect", "--primary-key",
                 DEVICE_KEY, "--secondary-key", SECOND_KEY)
        return name, DEVICE_KEY

    def import_devices(self, names):
        keys = {"primaryKey": DEVICE_KEY, "secondaryKey": SECOND_KEY}
        path = write_file(self.config + ".devices", "".join(
            json.dumps({"deviceId": name, "authentication": {"type": "sas", "symmetricKey": keys}}) + "\n"
            for name in names))
        self.run("device", "import", path)

    load_options = ["--client-id", "bench-{n}", "--user", HOST_NAME + "/{id}/?api-version=2021-04-12",
                    "--sas-host", HOST_NAME, "--device-key", DEVICE_KEY, "--topic",
                    "devices/{id}/messages/events/%24.ct=text%2Fplain&seq={seq}"]
    amqp_options = ["--client-id", "bench-{n}", "--user", "{id}@sas." + HOST_NAME, "--sas-host", HOST_NAME,
                    "--device-key", DEVICE_KEY, "--topic", "/devices/{id}/messages/events"]


class Mosquitto(Server):
    """The peer: nothing stored, no Nagle delay, errors only.

    The WebSocket listener comes as a second one, only when it is asked for: it would cost the clients of the first, as
    libwebsockets has its turn in every turn of the loop; and alone it does not start.
    """

    websocket_path = "/mqtt"
    load_options = ["--client-id", "bench-{n}", "--topic", "devices/{id}/messages/events/seq={seq}"]

    def __init__(self, folder, certificate, websocket=False):
        super().__init__(free_port(), free_port() if websocket else None)
        self.log_path = os.path.join(folder, "mosquitto.log")
        user = ["user root"] if os.geteuid() == 0 else []
        tls = [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        second = [f"listener {self.websocket_port} 127.0.0.1", "protocol websockets", *tls] if websocket else []
        self.config = write_file(os.path.join(folder, "mosquitto.conf"), "\n".join(user + [
            f"listener {self.port} 127.0.0.1", *tls, *second,
            "allow_anonymous true", "persistence false", "set_tcp_nodelay true", "log_type error", "log_dest stderr",
            ""]))

    def start(self):
        self.launch([find_server("mosquitto"), "-c", self.config], self.log_path)


class Nginx(Server):
    """The floor of the HTTPS cases: answers 204 over TLS, reads the body, stores nothing, logs errors only."""

    def __init__(self, folder, certificate):
        super().__init__(free_port())
        self.https_port = self.port
        self.folder = folder
        self.log_path = os.path.join(folder, "nginx.log")
        user = ["user root;"] if os.geteuid() == 0 else []
        self.config = write_file(os.path.join(folder, "nginx.conf"), "\n".join(user + [
            "daemon off;", f"pid {folder}/nginx.pid;", f"error_log {self.log_path} error;",
            f"worker_processes {os.cpu_count()};", "events { worker_connections 4096; }",
            "http {", "  access_log off;", "  keepalive_requests 100000000;", "  tcp_nodelay on;",
            *(f"  {kind}_temp_path {folder}/{kind};"
              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
            "  server {", f"    listen 127.0.0.1:{self.port} ssl http2;",
            f"    ssl_certificate {certificate[0]};", f"    ssl_certificate_key {certificate[1]};",
            "    ssl_protocols TLSv1.2 TLSv1.3;", "    location / { return 204; }", "  }", "}", ""]))

    def start(self):
        self.launch([find_server("nginx"), "-c", self.config, "-p", self.folder], self.log_path)

    def cpu_seconds(self):
        """Of the workers, which are children of the process started."""
        return sum(process_cpu_seconds(pid) for pid in [self.process.pid, *children(self.process.pid)])


class RabbitMQ(Server):
    """The peer over AMQP 1.0: a durable quorum queue of one node, which has each message on disk before it is accepted.

    A node of its own: name, port mapper, folders, cookie; nothing of an installed service is touched.  The port mapper
    is our child: one that Erlang starts would outlive it.
    """

    PROGRAMS = "/usr/lib/rabbitmq/bin"  # those without the wrapper that lets only root and rabbitmq in
    amqp_options = ["--user", "guest", "--password", "guest", "--topic", "/amq/queue/bench"]

    def __init__(self, folder, certificate):
        super().__init__(None)
        self.amqp_port = free_port()
        self.mapper_port, self.node_port, self.mapper, self.machine = free_port(), free_port(), None, None
        self.log_path = os.path.join(folder, "rabbitmq.log")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        definitions = write_file(os.path.join(folder, "definitions.json"), json.dumps({
            "users": [{"name": "guest", "password": "guest", "tags": ""}], "vhosts": [{"name": "/"}],
            "permissions": [{"user": "guest", "vhost": "/", **everything}],
            "queues": [{"name": "bench", "vhost": "/", "durable": True, "auto_delete": False,
                        "arguments": {"x-queue-type": "quorum"}}]}))
        config = write_file(os.path.join(folder, "rabbitmq.conf"), "\n".join([
            "listeners.tcp = none", f"listeners.ssl.1 = 127.0.0.1:{self.amqp_port}",
            f"ssl_options.cacertfile = {certificate[0]}", f"ssl_options.certfile = {certificate[0]}",
            f"ssl_options.keyfile = {certificate[1]}", "ssl_options.verify = verify_none",
            f"load_definitions = {definitions}", "log.file = false", "log.console = true", "log.console.level = error",
            ""]))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))},
            "HOME": folder, "ERL_EPMD_PORT": str(self.mapper_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": os.devnull, "RABBITMQ_NODENAME": f"gatehouse-bench-{self.amqp_port}@localhost",
            "RABBITMQ_MNESIA_BASE": os.path.join(folder, "data"), "RABBITMQ_LOG_BASE": os.path.join(folder, "log"),
            "RABBITMQ_CONFIG_FILE": config, "RABBITMQ_DIST_PORT": str(self.node_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": write_file(os.path.join(folder, "plugins"), "[rabbitmq_amqp1_0].\n"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}

    def start(self):
        try:
            self.start_mapper()
            self.launch([find_server("rabbitmq-server", self.PROGRAMS)], self.log_path, self.environment, 90)
        except BaseException:
            self.kill()
            raise
        self.machine = next(child for child in children(self.process.pid) if process_name(child) == "beam.smp")

    def start_mapper(self):
        with open(self.log_path, "ab") as log:
            self.mapper = subprocess.Popen([find_server("epmd"), "-port", str(self.mapper_port)], stdout=log,
                                           stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
        wait_for_port(self.mapper_port, self.mapper)

    def cpu_seconds(self):
        """Of all threads of the Erlang machine, which a shell started."""
        return process_cpu_seconds(self.machine)

    def resident_bytes(self):
        return process_resident_bytes(self.machine)

    def kill(self):
        """The shell passes SIGKILL on to nobody: the machine goes first."""
        if self.process and self.process.poll() is None:
            for child in children(self.process.pid):
                os.kill(child, signal.SIGKILL)
        super().kill()
        self.stop_mapper()

    def stop(self):
        super().stop()
        self.stop_mapper()

    def stop_mapper(self):
        if self.mapper and self.mapper.poll() is None:
            self.mapper.kill()
            self.mapper.wait()


class Load:
    """One run of the load client in steps: connected (or ready to begin), work, leave."""

    def __init__(self, binary, server, certificate, *arguments, over="mqtt"):
        self.process = subprocess.Popen(
            [binary, *server.way(over), "--cafile", certificate[0], "--interactive", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def expect(self, wanted=None):
        line = self.process.stdout.readline().strip()
        if not line or (wanted and line != wanted):
            self.process.kill()
            raise RigError(f"the load client ended early with {self.process.wait()}")
        return line

    def work(self):
        """Says go and waits for the result."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.expect())

    def leave(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def abandon(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def sas_token(resource, key):
    scope, expiry = urllib.parse.quote(resource, safe=""), str(int(time.time()) + 3600)
    mac = hmac.new(base64.b64decode(key), f"{scope}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={scope}&sig={urllib.parse.quote(base64.b64encode(mac), safe='')}&se={expiry}"


def post_load(server, folder, version, requests, connections, streams, size):
    """h2load posts the same body to the same path; returns requests answered 2xx and the seconds it took."""
    body = write_file(os.path.join(folder, "body"), "x" * size)
    protocol = ["--h1"] if version == 1 else ["-m", str(streams)]
    done = subprocess.run(
        ["h2load", *protocol, "-n", str(requests), "-c", str(connections), "-t", "1", "-d", body,
         "-H", f"Authorization: {sas_token(f'{HOST_NAME}/devices/bench-0', DEVICE_KEY)}",
         "-H", "iothub-contenttype: text/plain", "-H", "iothub-app-seq: 1",
         f"https://{HOST_NAME}:{server.https_port}/devices/bench-0/messages/events?api-version=2021-04-12"],
        capture_output=True, text=True, timeout=300)
    answered = re.search(r"status codes: (\d+) 2xx", done.stdout)
    seconds = re.search(r"finished in ([\d.]+)(us|ms|s)", done.stdout)
    if done.returncode != 0 or not answered or not seconds:
        raise RigError(f"h2load ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return int(answered[1]), float(seconds[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[seconds[2]]
