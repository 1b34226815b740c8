//! Thousands of attackers at a time, from an address of their own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::backend::Backend;
use crate::citizens::Citizens;
use crate::program::{Limits, Program, raise_file_limit};
use crate::support::eventually;

/// How many there are.
pub const ATTACKERS: usize = 2000;
/// What busy machines may add to any time.
pub const SLACK: Duration = Duration::from_secs(3);
/// How long they are waited for. Only a failure takes as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Descriptors that ordinary clients may have open at any moment.
const OTHERS: u64 = 10;
/// Descriptors for all of them and their backends, and the others.
const FILES: u64 = 2 * ATTACKERS as u64 + 200;
/// Address space, in KiB.
const ADDRESS_SPACE: u64 = 2 << 20;

/// One siege at a time: they measure time.
static ALONE: Mutex<()> = Mutex::new(());

pub struct Siege {
    pub program: Program,
    pub backend: Backend,
    _alone: MutexGuard<'static, ()>,
}

impl Siege {
    /// The program with default settings but for these lines of `[timeouts]`.
    pub fn lay(timeouts: &str) -> Siege {
        Siege::under(timeouts, Limits { files: FILES, address_space: ADDRESS_SPACE })
    }

    pub fn under(timeouts: &str, limits: Limits) -> Siege {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        raise_file_limit();
        let backend = Backend::start();
        let config = format!(
            "listen = [\"127.0.0.1:0\"]\nlog_level = \"warn\"\n[timeouts]\n{timeouts}\n[[route]]\nname = \"all\"\n\
             upstream = \"ws://{}\"\n",
            backend.address
        );
        let program = Program::serve(&config, limits);
        Siege { program, backend, _alone: alone }
    }

    /// Lets all of them attack while ordinary clients come and go. `attack` stays until it is thrown out, and returns how
    /// long that took. How much memory each costs is judged after `pause`, when all are in.
    #[track_caller]
    pub fn endure<A>(&mut self, pause: Duration, most_kib: u64, attack: fn(SocketAddr, usize) -> A) -> Endured
    where
        A: Future<Output = io::Result<Duration>> + Send + 'static,
    {
        let citizens = Citizens::start(self.program.address);
        // Threads and pools are warm, and the others are part of it.
        std::thread::sleep(Duration::from_millis(500));
        let (before, descriptors) = (self.program.memory(), self.program.descriptors());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let address = self.program.address;
        let (put_up, each, gone) = runtime.block_on(async {
            let mut attackers = JoinSet::new();
            for number in 0..ATTACKERS {
                attackers.spawn(attack(address, number));
                // All within a second or two: what is looked at is how it is with them, not how fast they come.
                if number % 20 == 19 {
                    sleep(Duration::from_millis(10)).await;
                }
            }
            let begun = Instant::now();
            sleep(pause).await;
            let open = self.program.descriptors().saturating_sub(descriptors);
            // The ordinary clients come and go, and one may just have gone.
            assert!(open + OTHERS >= ATTACKERS as u64, "only {open} more descriptors: the attack is none");
            let each = self.program.memory().saturating_sub(before) / ATTACKERS as u64;
            while self.program.descriptors() > descriptors + OTHERS && begun.elapsed() < PATIENCE {
                sleep(Duration::from_millis(50)).await;
            }
            let gone = begun.elapsed();
            let mut put_up = Vec::new();
            while let Ok(Some(ended)) = timeout(Duration::from_secs(1), attackers.join_next()).await {
                put_up.push(ended.expect("no attacker panics").expect("an attack goes on to its end"));
            }
            (put_up, each, gone)
        });
        println!(
            "{ATTACKERS} attackers, {each} KiB each, were gone {gone:?} after the last had come; {} were put up with for \
             {:?} to {:?}",
            put_up.len(),
            put_up.iter().min(),
            put_up.iter().max()
        );
        citizens.were_served();
        assert!(each <= most_kib, "each attacker holds {each} KiB");
        assert!(self.program.runs(), "it has ended");
        let program = &self.program;
        eventually("descriptors are back", || program.descriptors() <= descriptors + 2);
        let backend = &self.backend;
        eventually("backends are left alone", || backend.open.load(Ordering::SeqCst) <= 2);
        Endured { put_up, gone }
    }
}

/// How a siege ended.
pub struct Endured {
    /// For how long those were put up with who noticed that they were thrown out.
    pub put_up: Vec<Duration>,
    /// How long after the last of them had come nothing was left of any, though none had left.
    pub gone: Duration,
}

/// A connection from the attackers' address; `small` as of a device with little room.
pub async fn connect(to: SocketAddr, small: bool) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if small {
        socket.set_recv_buffer_size(4096)?;
        // With the loopback's long segments, the kernel would keep megabytes for each connection.
        socket2::SockRef::from(&socket).set_tcp_mss(536)?;
    }
    socket.bind(([127, 0, 0, 2], 0).into())?;
    socket.connect(to).await
}

/// Says one byte each second until thrown out, or until nothing is left to say, and then until thrown out; how long that
/// took.
pub async fn drip(mut stream: TcpStream, bytes: &[u8]) -> io::Result<Duration> {
    let begun = Instant::now();
    let mut answer = [0; 1024];
    let mut bytes = bytes.iter();
    loop {
        let next = bytes.next().copied();
        // Who was thrown out may find out by writing as well as by reading.
        if let Some(byte) = next
            && stream.write_all(&[byte]).await.is_err()
        {
            return Ok(begun.elapsed());
        }
        let second = begun.elapsed().as_secs() + 1;
        let until = begun + Duration::from_secs(second);
        let wait = until.saturating_duration_since(Instant::now());
        let silence = timeout(wait, async { while matches!(stream.read(&mut answer).await, Ok(1..)) {} });
        if silence.await.is_ok() {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(io::Error::other("it was never thrown out"));
        }
    }
}
