"""What stands between `doctor` and a site in its tests: a real nginx, set up right or wrong, and odd servers."""

import contextlib
import datetime
import ipaddress
import os
import socket
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from project.bootstrap import debian
from tests.cluster.process import Process
from tests.site import free_port

UPGRADE = 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
HOST = "proxy_set_header Host $http_host;"


class Nginx(Process):
    """nginx in front of the site on a port; `directives` are those of its location, `tls` (certificate, key) files."""

    name = "nginx"

    def __init__(self, folder, site_port, directives, *, tls=None, pages=""):
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        folders = "".join(
            f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        secure = f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else ""
        upstream = f"proxy_pass http://127.0.0.1:{site_port};" if site_port else ""
        text = f"""
            daemon off;
            {"user root;" if os.geteuid() == 0 else ""}
            worker_processes 1;
            pid {folder}/nginx.pid;
            error_log {folder}/error.log;
            events {{ worker_connections 64; }}
            http {{
                access_log off;
                {folders}
                server {{
                    listen 127.0.0.1:{self.port}{" ssl" if tls else ""};
                    {secure}
                    {pages}
                    location / {{ {directives} {upstream} }}
                }}
            }}
        """
        self.path = folder / "nginx.conf"
        self.path.write_text(text)

    def command(self):
        return [debian.program(debian.NGINX), "-p", self.folder, "-e", f"{self.folder}/error.log", "-c", self.path]


@contextlib.contextmanager
def nginx(folder, site_port, directives, **kwargs):
    """A running `Nginx`."""
    front = Nginx(folder, site_port, directives, **kwargs)
    try:
        front.start()
        yield front
    finally:
        front.stop()


class Odd:
    """A TCP server that treats each connection with `serve(connection, head of the request)` in a thread."""

    def __init__(self, serve):
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._accept)
        self._connections = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self.done.set()
        # Wakes `accept`.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._socket.close()
        for thread in self._connections:
            thread.join()

    def _accept(self):
        while True:
            connection, _ = self._socket.accept()
            if self.done.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._answer, args=[connection])
            thread.start()
            self._connections.append(thread)

    def _answer(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head and (more := connection.recv(4096)):
                head += more
            if head:
                self._serve(connection, head)


def answering(answer):
    """An `Odd` server that gives everybody the same answer."""
    return Odd(lambda connection, head: connection.sendall(answer))


def make_certificate(folder, name="127.0.0.1", days=90, *, since=-1):
    """A self-signed certificate for an address of a machine; (certificate, key) as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "doctor")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=since))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
