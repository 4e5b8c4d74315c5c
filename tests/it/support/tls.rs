//! What tests of TLS need: an authority of their own, and a web server that speaks it, which is OpenSSL's by Python.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, KeyPair};

use super::TemporaryFile;

/// Takes TLS off what comes, and passes it on to a server without.
const FRONT: &str = "import select, socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
def serve(client):
    try:
        client = context.wrap_socket(client, server_side=True)
    except OSError:
        return
    server = socket.create_connection(('127.0.0.1', int(sys.argv[3])))
    while True:
        for ready in [client] if client.pending() else select.select([client, server], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (server if ready is client else client).sendall(data)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

/// Issues certificates.
pub(crate) struct Authority {
    name: String,
    certificate: Certificate,
    key: KeyPair,
    file: TemporaryFile,
}

/// A certificate with its key.
pub(crate) struct Identity {
    /// In PEM.
    pub(crate) certificate: TemporaryFile,
    /// In PEM.
    pub(crate) key: TemporaryFile,
}

impl Authority {
    /// One that nobody knows yet.
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        let file = TemporaryFile::with(&format!("{name}-ca.pem"), &certificate.pem());
        Self { name: name.to_owned(), certificate, key, file }
    }

    /// Its own certificate.
    pub(crate) fn path(&self) -> &str {
        self.file.path()
    }

    /// Vouches for a host.
    pub(crate) fn issue(&self, host: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.certificate, &self.key).expect("a certificate");
        let file =
            |kind: &str, text: &str| TemporaryFile::with(&format!("{}-{host}-{kind}.pem", self.name), text);
        Identity {
            certificate: file("certificate", &certificate.pem()),
            key: file("key", &key.serialize_pem()),
        }
    }
}

/// TLS in front of a server that has none.
pub(crate) struct TlsFront {
    child: Child,
    port: u16,
}

impl TlsFront {
    /// In front of that address.
    pub(crate) fn of(address: SocketAddr, identity: &Identity) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", FRONT, identity.certificate.path(), identity.key.path()])
            .arg(address.port().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says its port");
        let port = line.trim().parse().expect("a port");
        Self { child, port }
    }

    /// A URL of it.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/events", self.port)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
