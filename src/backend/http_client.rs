//! Posts JSON to a backend: over connections that are kept, within a time, and reading no more than it should.
//!
//! Each [`Endpoint`] has a pool of its own, so that one backend that hangs takes nothing from another. Redirects are not
//! followed: who answers with one is not the backend that was configured.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use tokio::time::timeout;

use super::signature::{SIGNATURE, TIMESTAMP};
use super::signer::Signer;
use crate::trust::Authorities;

/// A connection that was idle for longer is not used again: Node closes its after five seconds, and a request that meets
/// that is lost.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);
/// How long one address of a backend may take to accept.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Makes endpoints. What they share is whom they trust; the host's certificates are read when the first needs them.
#[derive(Debug, Default)]
pub(crate) struct HttpClient {
    authorities: Authorities,
    tls: OnceLock<HttpsConnector<HttpConnector>>,
}

/// Where to post, and how.
#[derive(Debug, Clone)]
pub(crate) struct EndpointSettings {
    /// The address, see [`parse_url`].
    pub(crate) url: Uri,
    /// Headers beside the client's own.
    pub(crate) headers: HeaderMap,
    /// What signs requests.
    pub(crate) signer: Arc<Signer>,
    /// Bytes of an answer's body.
    pub(crate) answer_bytes_max: usize,
    /// Connections that are kept while nothing is asked.
    pub(crate) idle_connections_max: usize,
}

/// One backend, with its connections.
#[derive(Debug)]
pub(crate) struct Endpoint {
    settings: EndpointSettings,
    pool: Pool,
    /// Whether its certificate was refused when it was asked last.
    is_refused: AtomicBool,
}

type Body = Full<Bytes>;

#[derive(Debug)]
enum Pool {
    Plain(Client<HttpConnector, Body>),
    Tls(Client<HttpsConnector<HttpConnector>, Body>),
}

/// What a backend answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, whole.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection: nothing was sent.
    #[error("connect")]
    Connect,
    /// Not within the time.
    #[error("timeout")]
    Timeout,
    /// The connection ended, or what came over it was no HTTP.
    #[error("connection")]
    Broken,
    /// The answer is larger than it may be.
    #[error("too large")]
    TooLarge,
}

impl HttpClient {
    /// Endpoints that may be vouched for by these, too.
    pub(crate) fn new(authorities: Authorities) -> Self {
        Self { authorities, tls: OnceLock::new() }
    }

    /// A backend with connections of its own.
    ///
    /// # Errors
    /// When it is behind HTTPS and no authority is trusted.
    pub(crate) fn endpoint(&self, settings: EndpointSettings) -> io::Result<Endpoint> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(settings.idle_connections_max)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(HEAD_BYTES_MAX);
        let pool = match settings.url.scheme_str() {
            Some("https") => Pool::Tls(builder.build(self.tls()?)),
            _ => Pool::Plain(builder.build(tcp())),
        };
        Ok(Endpoint { settings, pool, is_refused: AtomicBool::new(false) })
    }

    fn tls(&self) -> io::Result<HttpsConnector<HttpConnector>> {
        if let Some(connector) = self.tls.get() {
            return Ok(connector.clone());
        }
        let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(self.authorities.with_host()?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp());
        Ok(self.tls.get_or_init(|| connector).clone())
    }
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIME_MAX));
    connector
}

impl Endpoint {
    /// Posts a body of JSON, signed with the present time, and reads the answer, all within `time_max`.
    ///
    /// # Errors
    /// [`CallError`] when there is none. An answer that says no is an answer.
    pub(crate) async fn post(&self, body: Bytes, time_max: Duration) -> Result<Answer, CallError> {
        match timeout(time_max, self.exchange(body)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Timeout),
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<Answer, CallError> {
        let response = self.pool.request(self.request(body)).await.map_err(|error| {
            self.note(&error);
            if error.is_connect() { CallError::Connect } else { CallError::Broken }
        })?;
        self.is_refused.store(false, Ordering::Relaxed);
        let (head, body) = Response::into_parts(response);
        let body = Limited::new(body, self.settings.answer_bytes_max).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() { CallError::TooLarge } else { CallError::Broken }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// Tells of a certificate that was refused, once until there is an answer: nothing else says why there is none.
    fn note(&self, error: &legacy::Error) {
        let (url, text) = (&self.settings.url, chain(error));
        if is_certificate(error) && !self.is_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(event = "certificate_refused", %url, error = text, "--ca-file names further authorities");
        } else {
            tracing::debug!(event = "backend_call_failed", %url, error = text);
        }
    }

    fn request(&self, body: Bytes) -> Request<Body> {
        let EndpointSettings { url, headers, signer, .. } = &self.settings;
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = signer.sign(now_s, &body);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        let out = request.headers_mut();
        out.extend(headers.clone());
        out.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        out.insert(TIMESTAMP, HeaderValue::from(now_s));
        if let Some(signature) = signature {
            out.insert(SIGNATURE, HeaderValue::try_from(signature).expect("hexadecimal digits"));
        }
        request
    }
}

impl Pool {
    fn request(&self, request: Request<Body>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

/// An error with what caused it: the outermost says little.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whether it is about the certificate that the other side has shown.
fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    // What TLS says is wrapped into errors of input and output, which do not name it as their source.
    let mut causes = std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    });
    causes.any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
}

/// Reads the address of a backend.
///
/// # Errors
/// The text for the operator.
pub(crate) fn parse_url(text: &str) -> Result<Uri, String> {
    let error =
        |what: &str| Err(format!("expected a URL such as http://host:8080/path, got {text:?}: {what}"));
    let Ok(url) = text.parse::<Uri>() else { return error("it cannot be read") };
    let Some(authority) = url.authority() else { return error("it names no host") };
    match url.scheme_str() {
        _ if authority.as_str().contains('@') => error("put credentials into headers"),
        _ if text.contains('#') => error("a fragment is not sent"),
        Some("http" | "https") => Ok(url),
        _ => error("only http and https are spoken"),
    }
}

#[cfg(test)]
mod tests;
