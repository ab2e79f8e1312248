//! Frames from an interface, through libpcap and the kernel's ring.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pcap::{Active, BpfInstruction, Capture, Linktype, Packet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use socket2::{SockFilter, SockRef};

use crate::capture::company::Company;
use crate::capture::privilege::Raised;
use crate::capture::{CaptureError, CaptureStats, abi};
use crate::engine::event::Source;
use crate::engine::frame::{Frame, LinkType, Timestamp};

/// Larger than any frame, with segmentation offload too.
const SNAPLEN: i32 = 262_144;
/// How long the kernel may keep a block of the ring back that is not full: a frame's way to the
/// light may take 30 ms, and each block handed over costs a wake-up.
const BLOCK_TIMEOUT_MILLIS: i32 = 25;
/// libpcap's name for all interfaces together.
const ANY: &str = "any";

/// Calls a waiting capture for attention, from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker that called nobody yet.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn new() -> Result<Self, CaptureError> {
        let flags = rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC;
        let descriptor = rustix::event::eventfd(0, flags).map_err(wait_error)?;
        Ok(Self(Arc::new(descriptor)))
    }

    /// Makes the present or next wait return at once.
    pub fn wake(&self) {
        // It fails only when the count is full, and then the wait returns all the same.
        let _full = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        // It fails only when nobody called.
        let _empty = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }

    /// Waits without a capture.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn wait(&self, at_most: Duration) -> Result<(), CaptureError> {
        let mut waiting = [PollFd::new(&*self.0, PollFlags::IN)];
        wait(&mut waiting, at_most)?;
        self.clear();
        Ok(())
    }
}

/// A capture on an interface.
pub struct Live {
    capture: Capture<Active>,
    /// Whether libpcap filters, and not the kernel alone.
    libpcap_filters: bool,
    link: LinkType,
    source: Source,
    interface: String,
    waker: Waker,
    /// Whether the ring was found empty, so that waiting comes before reading.
    drained: bool,
    company: Company,
    /// What libpcap counted so far: its own numbers have 32 bits and begin anew after some hours
    /// of a busy gigabit port.
    received: Count,
    dropped_kernel: Count,
    dropped_interface: Count,
}

/// A count that outlives the 32 bits of the one that it follows.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    total: u64,
    last: u32,
}

impl Count {
    fn follow(&mut self, now: u32) -> u64 {
        self.total += u64::from(now.wrapping_sub(self.last));
        self.last = now;
        self.total
    }
}

/// Sets a filter. libpcap lets no frame pass while it puts one in another's place, and goes on with
/// the old one for what may have been in the ring then. So the kernel is asked directly, but where
/// libpcap has to change the program first (what it calls cooked), or the kernel refuses it.
fn set_filter(
    capture: &mut Capture<Active>,
    filter: &str,
    libpcap_filters: &mut bool,
) -> Result<(), pcap::Error> {
    if !*libpcap_filters && capture.get_datalink() == Linktype::ETHERNET {
        let program = capture.compile(filter, true)?;
        let instructions = program.get_instructions().iter().map(instruction);
        let attached = instructions
            .collect::<Option<Vec<_>>>()
            .map(|program| SockRef::from(&*capture).attach_filter(&program));
        if matches!(attached, Some(Ok(()))) {
            return Ok(());
        }
    }
    *libpcap_filters = true;
    capture.filter(filter, true)
}

/// An instruction as the kernel takes it, by the four numbers that the library shows of it.
fn instruction(one: &BpfInstruction) -> Option<SockFilter> {
    let shown = one.to_string();
    let mut numbers = shown.split(' ');
    let filter = SockFilter::new(
        numbers.next()?.parse().ok()?,
        numbers.next()?.parse().ok()?,
        numbers.next()?.parse().ok()?,
        numbers.next()?.parse().ok()?,
    );
    numbers.next().is_none().then_some(filter)
}

impl Live {
    /// Opens an interface, promiscuous (`any` cannot be), with a ring of `buffer_bytes` and the
    /// kernel's `filter`.
    ///
    /// # Errors
    /// [`CaptureError`]: no permission, no such interface, no memory for the ring, another libpcap.
    pub fn open(
        interface: &str,
        buffer_bytes: usize,
        filter: &str,
        waker: Waker,
    ) -> Result<Self, CaptureError> {
        abi::check()?;
        let error = |error: pcap::Error| explain(interface, &error);
        let _raised = Raised::now();
        // Not immediate mode: it turns TPACKET_V3 off, and was measured to drop frames where
        // blocks dropped none.
        let mut capture = Capture::from_device(interface)
            .map_err(error)?
            .promisc(interface != ANY)
            .snaplen(SNAPLEN)
            .buffer_size(i32::try_from(buffer_bytes).unwrap_or(i32::MAX))
            .timeout(BLOCK_TIMEOUT_MILLIS)
            .immediate_mode(false)
            .open()
            .map_err(error)?
            .setnonblock()
            .map_err(error)?;
        let mut libpcap_filters = false;
        set_filter(&mut capture, filter, &mut libpcap_filters).map_err(error)?;
        let number = capture.get_datalink().0;
        let link = LinkType::from_number(u16::try_from(number).unwrap_or(u16::MAX))
            .map_err(CaptureError::LinkType)?;
        Ok(Self {
            capture,
            libpcap_filters,
            link,
            source: source(number),
            interface: interface.to_owned(),
            waker,
            drained: true,
            company: Company::new(buffer_bytes, Instant::now()),
            received: Count::default(),
            dropped_kernel: Count::default(),
            dropped_interface: Count::default(),
        })
    }

    /// Lets other frames pass from now on; on Ethernet none of those that pass both filters is lost,
    /// unless the new one is too long for the kernel.
    ///
    /// # Errors
    /// [`CaptureError`] when the filter is refused.
    pub fn set_filter(&mut self, filter: &str) -> Result<(), CaptureError> {
        set_filter(&mut self.capture, filter, &mut self.libpcap_filters)
            .map_err(|error| explain(&self.interface, &error))
    }

    /// Gives `take` the frames that are there, up to `count` of them: how many. None when none came
    /// for `at_most`, or somebody called.
    ///
    /// # Errors
    /// [`CaptureError`] when the interface went away or down.
    pub fn next_frames(
        &mut self,
        at_most: Duration,
        count: usize,
        mut take: impl FnMut(Frame<'_>),
    ) -> Result<usize, CaptureError> {
        if self.drained && !self.wait_for_frames(at_most)? {
            return Ok(0);
        }
        let (link, mut bytes) = (self.link, 0);
        let taken = self
            .capture
            .dispatch(Some(count), |packet| {
                bytes += packet.data.len();
                take(frame(link, &packet));
            })
            .map_err(|error| explain(&self.interface, &error))?;
        self.drained = taken < count;
        self.company.note(taken, bytes);
        Ok(taken)
    }

    /// What describes its frames.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What libpcap counted since the interface was opened. Asked for at least once an hour, it
    /// misses nothing.
    ///
    /// # Errors
    /// [`CaptureError`] when the kernel does not say.
    pub fn stats(&mut self) -> Result<CaptureStats, CaptureError> {
        let stats = self
            .capture
            .stats()
            .map_err(|error| explain(&self.interface, &error))?;
        Ok(CaptureStats {
            received: self.received.follow(stats.received),
            dropped_kernel: self.dropped_kernel.follow(stats.dropped),
            dropped_interface: self.dropped_interface.follow(stats.if_dropped),
        })
    }

    /// Whether there are frames to read.
    fn wait_for_frames(&mut self, at_most: Duration) -> Result<bool, CaptureError> {
        if let Some(company) = self.company.wait(Instant::now()) {
            // Who calls ends this wait too, and is heard in the next.
            let mut called = [PollFd::new(&*self.waker.0, PollFlags::IN)];
            wait(&mut called, company.min(at_most))?;
        }
        let mut waiting = [
            PollFd::from_borrowed_fd(self.capture.as_fd(), PollFlags::IN),
            PollFd::new(&*self.waker.0, PollFlags::IN),
        ];
        wait(&mut waiting, at_most)?;
        let [frames, called] = waiting.map(|one| !one.revents().is_empty());
        if called {
            self.waker.clear();
        }
        Ok(frames)
    }
}

fn wait(waiting: &mut [PollFd<'_>], at_most: Duration) -> Result<(), CaptureError> {
    let timeout = Timespec::try_from(at_most).ok();
    match poll(waiting, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(wait_error(error)),
    }
}

fn wait_error(error: Errno) -> CaptureError {
    CaptureError::Wait(error.into())
}

/// libpcap's number for bare IP differs from that in files.
fn source(number: i32) -> Source {
    Source {
        link_number: match number {
            12 | 14 => 101,
            other => u16::try_from(other).unwrap_or(u16::MAX),
        },
        resolution: 6,
        snap_length: SNAPLEN.unsigned_abs(),
    }
}

#[inline]
fn frame<'a>(link: LinkType, packet: &Packet<'a>) -> Frame<'a> {
    Frame {
        time: timestamp(packet.header),
        link,
        wire_len: packet.header.len,
        bytes: packet.data,
    }
}

/// libpcap gives seconds and microseconds.
fn timestamp(header: &pcap::PacketHeader) -> Timestamp {
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or(0);
    let micros = u32::try_from(header.ts.tv_usec).unwrap_or(0);
    Timestamp::from_secs_nanos(seconds, micros.saturating_mul(1000))
}

fn explain(interface: &str, error: &pcap::Error) -> CaptureError {
    let interface = interface.to_owned();
    let message = error.to_string();
    let lower = message.to_lowercase();
    if lower.contains("permission") || lower.contains("not permitted") {
        return CaptureError::Permission { interface };
    }
    CaptureError::Pcap { interface, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_goes_on_where_the_one_that_it_follows_begins_anew() {
        let mut count = Count::default();
        assert_eq!(count.follow(u32::MAX - 1), 4_294_967_294);
        assert_eq!(count.follow(3), 4_294_967_299);
        assert_eq!(count.follow(3), 4_294_967_299);
    }

    #[test]
    fn somebody_who_calls_ends_the_wait() {
        let waker = Waker::new().unwrap();
        waker.clone().wake();
        waker.wait(Duration::from_secs(600)).unwrap();
    }

    #[test]
    fn no_permission_is_told_apart_by_what_libpcap_says() {
        for says in [
            "socket: Operation not permitted",
            "You don't have permission to perform this capture on that device",
        ] {
            let error = explain("eth1", &pcap::Error::PcapError(says.into()));
            assert!(matches!(error, CaptureError::Permission { .. }), "{says}");
        }
        let down = pcap::Error::PcapError("That device is not up".into());
        let down = explain("eth1", &down).to_string();
        assert_eq!(
            down,
            "cannot capture on eth1: libpcap error: That device is not up"
        );
    }
}
