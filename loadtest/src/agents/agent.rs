//! An agent: waits for a coordinator, does its part of the run, and tells what it found.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser as _;

use super::message::{self, FromAgent, PROOF_BYTES_MAX, TEXT_BYTES_MAX, ToAgent, VERSION};
use super::{proof, share};
use crate::args::{AgentArgs, Cli};
use crate::measure::RoomDigest;
use crate::progress::{self, Snapshot};
use crate::report::Report;
use crate::run::{self, Crew, Interruption};
use crate::settings::{Part, Settings};
use crate::token::Minter;

/// Time that somebody who connects has to prove that it is the coordinator.
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a coordinator has to take what it is told.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an agent tells that it is there.
const ALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// Messages of the coordinator that may wait; it has no more to say than three.
const INBOX_MAX: usize = 16;
const PREFIX: &str = "ROOMCAST_LOADTEST_";

/// An agent whose settings are fine.
pub(crate) enum Agent {
    /// Serves the process that started it.
    Stdio,
    /// Serves whoever knows the secret.
    Network { listener: TcpListener, secret: Vec<u8> },
}

impl Agent {
    /// Judges the flags, and begins to listen.
    ///
    /// # Errors
    /// Names the flag, or the variable of the environment, that is wrong.
    pub(crate) fn from_args(args: &AgentArgs) -> Result<Self> {
        // Flags come from the coordinator; those of this environment would be mixed with them.
        let is_flag = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PREFIX);
        if let Some((name, _)) = std::env::vars_os().find(|(name, _)| is_flag(name)) {
            bail!("{} is set: an agent takes its flags from the coordinator", name.to_string_lossy());
        }
        let Some(file) = args.secret_file.as_ref().filter(|_| !args.stdio) else {
            return Ok(Self::Stdio);
        };
        let secret = proof::read_secret("--secret-file", file)?;
        let listener = TcpListener::bind(args.listen).with_context(|| format!("--listen {}", args.listen))?;
        progress::say(&format!("roomcast-loadtest: an agent waits at {}", listener.local_addr()?));
        Ok(Self::Network { listener, secret })
    }

    /// Serves one coordinator after the other, until the process is ended; or only the one that started it.
    ///
    /// # Errors
    /// When nobody can be accepted any more, or the only coordinator is gone.
    pub(crate) fn serve(&self) -> Result<()> {
        let Self::Network { listener, secret } = self else {
            // Whoever started it has nothing to prove.
            let challenge = FromAgent::Challenge { version: VERSION.to_owned(), nonce: None };
            message::write(&mut std::io::stdout(), &challenge)?;
            return session(std::io::stdin(), std::io::stdout());
        };
        for socket in listener.incoming() {
            let socket = socket.context("accepting a coordinator")?;
            let peer = socket.peer_addr().map_or_else(|_| "somebody".to_owned(), |peer| peer.to_string());
            match serve_socket(&socket, secret) {
                Ok(()) => progress::say(&format!("roomcast-loadtest: {peer}: done")),
                Err(error) => progress::say(&format!("roomcast-loadtest: {peer}: {error:#}")),
            }
            // Also ends the thread that reads it.
            let _ = socket.shutdown(Shutdown::Both);
        }
        Ok(())
    }
}

fn serve_socket(socket: &TcpStream, secret: &[u8]) -> Result<()> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    socket.set_read_timeout(Some(PROOF_TIMEOUT))?;
    let (mut reader, mut writer) = (socket.try_clone()?, socket.try_clone()?);
    let nonce = proof::nonce()?;
    message::write(
        &mut writer,
        &FromAgent::Challenge { version: VERSION.to_owned(), nonce: Some(nonce.clone()) },
    )?;
    match message::read(&mut reader, PROOF_BYTES_MAX)? {
        ToAgent::Prove { proof } if proof::is_proof(secret, &nonce, &proof) => {}
        _ => {
            let text = "the secret is another one".to_owned();
            message::write(&mut writer, &FromAgent::Failed { text })?;
            bail!("who does not know the secret wanted something");
        }
    }
    message::write(&mut writer, &FromAgent::Welcome)?;
    socket.set_read_timeout(None)?;
    session(reader, writer)
}

/// One run for a coordinator that has proved itself, if it had to.
fn session(mut reader: impl Read + Send + 'static, writer: impl Write + Send + 'static) -> Result<()> {
    let line = Line(Arc::new(Mutex::new(writer)));
    let prepare = message::read(&mut reader, TEXT_BYTES_MAX).context("waiting for the settings")?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let (inbox_in, inbox) = sync_channel(INBOX_MAX);
    let reading = Arc::clone(&interrupted);
    thread::spawn(move || read_on(reader, &inbox_in, &reading));
    let done = Arc::new(AtomicBool::new(false));
    let (beating, until) = (line.clone(), Arc::clone(&done));
    thread::spawn(move || {
        while !until.load(Ordering::Relaxed) && beating.tell(&FromAgent::Alive).is_ok() {
            thread::sleep(ALIVE_INTERVAL);
        }
    });
    let mut coordinator = Coordinator { line: line.clone(), inbox, may_send: false, all_sent: None };
    let found = perform(prepare, &mut coordinator, &Interruption::by(interrupted));
    done.store(true, Ordering::Relaxed);
    match found {
        Ok((report, digests)) => line.tell(&FromAgent::Done { report: Box::new(report), digests }),
        Err(error) => {
            // The coordinator may be what is wrong.
            let _ = line.tell(&FromAgent::Failed { text: format!("{error:#}") });
            Err(error)
        }
    }
}

/// Hands over what the coordinator says, until it is gone or says stop.
fn read_on(mut reader: impl Read, inbox: &SyncSender<ToAgent>, interrupted: &AtomicBool) {
    loop {
        match message::read(&mut reader, TEXT_BYTES_MAX) {
            Ok(ToAgent::Stop) => interrupted.store(true, Ordering::Relaxed),
            Ok(message) => {
                if inbox.send(message).is_err() {
                    return;
                }
            }
            Err(_) => {
                interrupted.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}

fn perform(
    prepare: ToAgent,
    crew: &mut impl Crew,
    interruption: &Interruption,
) -> Result<(Report, Vec<RoomDigest>)> {
    let ToAgent::Prepare { flags, secret, number, of, run } = prepare else {
        bail!("the coordinator did not begin with the settings");
    };
    ensure!(number < of, "agent {number} of {of} makes no sense");
    let words = ["roomcast-loadtest".to_owned()].into_iter().chain(flags);
    let cli = Cli::try_parse_from(words)
        .map_err(|error| anyhow::anyhow!("the coordinator's flags: {}", error.kind()))?;
    let mut settings = Settings::from_args(cli.run)?;
    // Whoever knows the secret may cause load, and nothing else: no command is run for it.
    share::check_kind(&settings)?;
    if let Some(secret) = &secret {
        Minter::new(secret).context("the coordinator's secret")?;
    }
    settings.secret = secret;
    settings.part = Part { number, of };
    run::prepare(&settings)?;
    run::run_in_crew(&settings, run, crew, interruption)
}

/// The line to the coordinator, which several threads tell things on.
struct Line<W>(Arc<Mutex<W>>);

impl<W> Clone for Line<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write> Line<W> {
    fn tell(&self, message: &FromAgent) -> Result<()> {
        let mut line: MutexGuard<'_, W> = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        message::write(&mut *line, message).context("telling the coordinator")
    }
}

/// The others, as the coordinator tells of them.
struct Coordinator<W> {
    line: Line<W>,
    inbox: Receiver<ToAgent>,
    may_send: bool,
    all_sent: Option<Vec<u64>>,
}

impl<W: Write> Coordinator<W> {
    fn hear(&mut self) -> Result<()> {
        loop {
            match self.inbox.try_recv() {
                Ok(ToAgent::Go) => self.may_send = true,
                Ok(ToAgent::AllSent { rooms }) => self.all_sent = Some(rooms),
                Ok(_) => bail!("the coordinator said something out of place"),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => bail!("the coordinator is gone"),
            }
        }
    }
}

impl<W: Write> Crew for Coordinator<W> {
    fn tell_connected(&mut self) -> Result<()> {
        self.line.tell(&FromAgent::Connected)
    }

    fn may_send(&mut self) -> Result<bool> {
        self.hear()?;
        Ok(self.may_send)
    }

    fn tell_sent(&mut self, rooms: &[u64]) -> Result<()> {
        self.line.tell(&FromAgent::Sent { rooms: rooms.to_vec() })
    }

    fn all_sent(&mut self) -> Result<Option<Vec<u64>>> {
        self.hear()?;
        Ok(self.all_sent.take())
    }

    fn tell(&mut self, snapshot: Snapshot) -> Result<()> {
        let Snapshot { connections, sent, deliveries, p99_ms } = snapshot;
        self.line.tell(&FromAgent::Progress { connections, sent, deliveries, p99_ms })
    }
}
