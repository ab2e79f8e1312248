//! A card of our own making: a file system in memory (FUSE) that writes down, in order, all that
//! is done to it, and fails as it is told to.
//!
//! What a power cut leaves is made from what was written down ([`Card::cut`]): of each file what
//! was synced last, and of later writes any 512-byte sectors, and each later change of its length
//! or not; of each folder the entries that were synced last, and each later change or not. That is
//! more than a real file system loses: ext4 keeps the order of such changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    AccessFlags, BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType,
    Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};

/// A mounted card.
pub struct Card {
    state: Arc<Mutex<State>>,
    _session: BackgroundSession,
}

/// How a card fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing can be changed any more.
    ReadOnly,
    /// Writing and syncing end with an error.
    Writing,
    /// These bytes of a file cannot be read.
    Reading { node: u64, from: u64, to: u64 },
}

/// What was done, in order.
#[derive(Clone, Debug)]
pub enum Done {
    Made {
        folder: u64,
        name: OsString,
        node: u64,
    },
    Removed {
        folder: u64,
        name: OsString,
    },
    Moved {
        folder: u64,
        from: OsString,
        to: OsString,
    },
    Wrote {
        node: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
    Cut {
        node: u64,
        size: u64,
    },
    Synced {
        node: u64,
    },
    FolderSynced {
        folder: u64,
    },
}

#[derive(Default)]
struct State {
    nodes: HashMap<u64, Node>,
    last: u64,
    done: Vec<Done>,
    fault: Option<Fault>,
    /// Files that processes share as memory: a kernel keeps their pages whatever the card does,
    /// while FUSE hands them over whenever somebody opens the file.
    memory: BTreeSet<u64>,
}

struct Node {
    mode: u32,
    what: What,
}

enum What {
    Folder(BTreeMap<OsString, u64>),
    File(Vec<u8>),
}

const ROOT: u64 = 1;

impl Card {
    /// Mounts an empty card over a folder.
    pub fn over(folder: &Path) -> Self {
        let mut state = State {
            last: ROOT,
            ..State::default()
        };
        let root = Node {
            mode: 0o2770,
            what: What::Folder(BTreeMap::new()),
        };
        state.nodes.insert(ROOT, root);
        let state = Arc::new(Mutex::new(state));
        let driver = Driver(Arc::clone(&state));
        let session = fuser::spawn_mount(driver, folder, &Config::default());
        Self {
            state,
            _session: session.expect("the lab needs FUSE (/dev/fuse) for a card that can fail"),
        }
    }

    /// From now on it fails so; None: it is mended.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().fault = fault;
    }

    /// What a file in the root is called by, whatever its name becomes.
    pub fn node_of(&self, name: &str) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.find(ROOT, OsStr::new(name)).unwrap()
    }

    /// All that was done so far.
    pub fn done(&self) -> Vec<Done> {
        self.state.lock().unwrap().done.clone()
    }
}

/// What lies on the card for certain, and what may, at some instant.
#[derive(Clone, Default)]
pub struct Surface {
    files: HashMap<u64, Content>,
    folders: HashMap<u64, Entries>,
}

#[derive(Clone, Default)]
struct Content {
    synced: Vec<u8>,
    /// Writes and cuts since.
    later: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Wrote(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Clone, Default)]
struct Entries {
    synced: BTreeMap<OsString, u64>,
    later: Vec<Done>,
}

impl Surface {
    /// One thing more is done.
    pub fn take(&mut self, done: &Done) {
        match done {
            Done::Wrote {
                node,
                offset,
                bytes,
            } => {
                let change = Change::Wrote(*offset, bytes.clone());
                self.files.entry(*node).or_default().later.push(change);
            }
            Done::Cut { node, size } => {
                self.files
                    .entry(*node)
                    .or_default()
                    .later
                    .push(Change::Cut(*size));
            }
            Done::Synced { node } => {
                let content = self.files.entry(*node).or_default();
                for change in std::mem::take(&mut content.later) {
                    change.apply(&mut content.synced, |_| true);
                }
            }
            Done::Made { folder, .. }
            | Done::Removed { folder, .. }
            | Done::Moved { folder, .. } => {
                self.folders
                    .entry(*folder)
                    .or_default()
                    .later
                    .push(done.clone());
            }
            Done::FolderSynced { folder } => {
                let entries = self.folders.entry(*folder).or_default();
                for change in std::mem::take(&mut entries.later) {
                    change.apply(&mut entries.synced);
                }
            }
        }
    }

    /// Puts into `target` what a power cut may leave; `keeps` decides each time whether something
    /// that was not synced is there.
    pub fn leave(&self, target: &Path, keeps: &mut impl FnMut() -> bool) {
        self.leave_folder(ROOT, target, keeps);
    }

    fn leave_folder(&self, folder: u64, target: &Path, keeps: &mut impl FnMut() -> bool) {
        let Some(entries) = self.folders.get(&folder) else {
            return;
        };
        let mut names = entries.synced.clone();
        for change in &entries.later {
            if keeps() {
                change.apply(&mut names);
            }
        }
        for (name, node) in names {
            let path = target.join(&name);
            if self.folders.contains_key(&node) {
                fs::create_dir(&path).unwrap();
                self.leave_folder(node, &path, keeps);
                continue;
            }
            let content = self.files.get(&node).cloned().unwrap_or_default();
            let mut bytes = content.synced;
            for change in &content.later {
                change.apply(&mut bytes, |_| keeps());
            }
            fs::write(&path, bytes).unwrap();
        }
    }
}

impl Change {
    /// Sector by sector; `keeps` is asked for each.
    fn apply(&self, bytes: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Self::Cut(size) if keeps(0) => bytes.resize(usize::try_from(*size).unwrap(), 0),
            Self::Cut(_) => {}
            Self::Wrote(offset, new) => {
                let mut place = usize::try_from(*offset).unwrap();
                let mut rest = &new[..];
                while !rest.is_empty() {
                    let length = (SECTOR - place % SECTOR).min(rest.len());
                    if keeps(place) {
                        if bytes.len() < place + length {
                            bytes.resize(place + length, 0);
                        }
                        bytes[place..place + length].copy_from_slice(&rest[..length]);
                    }
                    (place, rest) = (place + length, &rest[length..]);
                }
            }
        }
    }
}

const SECTOR: usize = 512;

impl Done {
    /// To the entries of a folder; what it needs may be lost.
    fn apply(&self, names: &mut BTreeMap<OsString, u64>) {
        match self {
            Self::Made { name, node, .. } => {
                names.insert(name.clone(), *node);
            }
            Self::Removed { name, .. } => {
                names.remove(name);
            }
            Self::Moved { from, to, .. } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Self::Wrote { .. }
            | Self::Cut { .. }
            | Self::Synced { .. }
            | Self::FolderSynced { .. } => {}
        }
    }
}

/// What the kernel asks.
struct Driver(Arc<Mutex<State>>);

type Answer<T> = Result<T, Errno>;

impl Driver {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn names(&mut self, folder: u64) -> Answer<&mut BTreeMap<OsString, u64>> {
        match self.nodes.get_mut(&folder).map(|node| &mut node.what) {
            Some(What::Folder(names)) => Ok(names),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn bytes(&mut self, file: u64) -> Answer<&mut Vec<u8>> {
        match self.nodes.get_mut(&file).map(|node| &mut node.what) {
            Some(What::File(bytes)) => Ok(bytes),
            _ => Err(Errno::ENOENT),
        }
    }

    fn find(&mut self, folder: u64, name: &OsStr) -> Answer<u64> {
        self.names(folder)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Before anything is changed.
    fn may_change(&self) -> Answer<()> {
        match self.fault {
            Some(Fault::ReadOnly) => Err(Errno::EROFS),
            Some(Fault::Writing) => Err(Errno::EIO),
            Some(Fault::Reading { .. }) | None => Ok(()),
        }
    }

    fn cannot_read(&self, file: u64, start: u64, end: u64) -> bool {
        match self.fault {
            Some(Fault::Reading { node, from, to }) => node == file && start < to && from < end,
            _ => false,
        }
    }

    fn make(&mut self, folder: u64, name: &OsStr, mode: u32, what: What) -> Answer<u64> {
        self.may_change()?;
        self.last += 1;
        let node = self.last;
        if name.to_string_lossy().ends_with("-shm") {
            self.memory.insert(node);
        }
        self.names(folder)?.insert(name.to_owned(), node);
        self.nodes.insert(node, Node { mode, what });
        let name = name.to_owned();
        self.done.push(Done::Made { folder, name, node });
        Ok(node)
    }

    fn remove(&mut self, folder: u64, name: &OsStr) -> Answer<()> {
        self.may_change()?;
        self.names(folder)?.remove(name).ok_or(Errno::ENOENT)?;
        let name = name.to_owned();
        self.done.push(Done::Removed { folder, name });
        Ok(())
    }

    fn rename(&mut self, folder: u64, from: &OsStr, to: &OsStr) -> Answer<()> {
        self.may_change()?;
        let names = self.names(folder)?;
        let node = names.remove(from).ok_or(Errno::ENOENT)?;
        names.insert(to.to_owned(), node);
        let (from, to) = (from.to_owned(), to.to_owned());
        self.done.push(Done::Moved { folder, from, to });
        Ok(())
    }

    fn write(&mut self, node: u64, offset: u64, new: &[u8]) -> Answer<()> {
        if !self.memory.contains(&node) {
            self.may_change()?;
        }
        let change = Change::Wrote(offset, new.to_vec());
        change.apply(self.bytes(node)?, |_| true);
        let bytes = new.to_vec();
        self.done.push(Done::Wrote {
            node,
            offset,
            bytes,
        });
        Ok(())
    }

    fn change(&mut self, node: u64, mode: Option<u32>, size: Option<u64>) -> Answer<FileAttr> {
        if mode.is_some() || size.is_some() {
            self.may_change()?;
        }
        if let Some(size) = size {
            Change::Cut(size).apply(self.bytes(node)?, |_| true);
            self.done.push(Done::Cut { node, size });
        }
        if let Some(mode) = mode {
            self.nodes.get_mut(&node).ok_or(Errno::ENOENT)?.mode = mode & 0o7777;
        }
        self.attributes(node)
    }

    fn sync(&mut self, done: Done) -> Answer<()> {
        if self.fault == Some(Fault::Writing) {
            return Err(Errno::EIO);
        }
        self.done.push(done);
        Ok(())
    }

    fn attributes(&self, node: u64) -> Answer<FileAttr> {
        let found = self.nodes.get(&node).ok_or(Errno::ENOENT)?;
        let (kind, size) = match &found.what {
            What::Folder(_) => (FileType::Directory, 4096),
            What::File(bytes) => (FileType::RegularFile, bytes.len() as u64),
        };
        Ok(FileAttr {
            ino: INodeNo(node),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: u16::try_from(found.mode & 0o7777).unwrap(),
            nlink: 1,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn entry(&self, node: u64) -> Answer<FileAttr> {
        self.attributes(node)
    }
}

/// Nothing is remembered by the kernel but pages.
const NO_TIME: Duration = Duration::ZERO;

fn answer(reply: ReplyEmpty, result: Answer<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn answer_entry(reply: ReplyEntry, result: Answer<FileAttr>) {
    match result {
        Ok(attributes) => reply.entry(&NO_TIME, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn answer_attributes(reply: ReplyAttr, result: Answer<FileAttr>) {
    match result {
        Ok(attributes) => reply.attr(&NO_TIME, &attributes),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Driver {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.lock();
        let found = state.find(parent.0, name);
        answer_entry(reply, found.and_then(|node| state.entry(node)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attributes(reply, self.lock().attributes(ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        answer_attributes(reply, self.lock().change(ino.0, mode, size));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let mut state = self.lock();
        let made = state.make(parent.0, name, mode, What::Folder(BTreeMap::new()));
        answer_entry(reply, made.and_then(|node| state.entry(node)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.lock().remove(parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.lock().remove(parent.0, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let result = match parent == newparent {
            true => self.lock().rename(parent.0, name, newname),
            false => Err(Errno::EXDEV),
        };
        answer(reply, result);
    }

    fn open(&self, _: &Request, _: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let read_only = self.lock().fault == Some(Fault::ReadOnly);
        match read_only && flags.acc_mode() != fuser::OpenAccMode::O_RDONLY {
            true => reply.error(Errno::EROFS),
            false => reply.opened(FileHandle(0), FopenFlags::empty()),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.lock();
        if state.cannot_read(ino.0, offset, offset + u64::from(size)) {
            return reply.error(Errno::EIO);
        }
        match state.bytes(ino.0) {
            Ok(bytes) => {
                let start = usize::try_from(offset).unwrap().min(bytes.len());
                let end = (start + size as usize).min(bytes.len());
                reply.data(&bytes[start..end]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.lock().write(ino.0, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.lock().sync(Done::Synced { node: ino.0 }));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(
            reply,
            self.lock().sync(Done::FolderSynced { folder: ino.0 }),
        );
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn access(&self, _: &Request, _: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let read_only = self.lock().fault == Some(Fault::ReadOnly);
        match read_only && mask.contains(AccessFlags::W_OK) {
            true => reply.error(Errno::EROFS),
            false => reply.ok(),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut state = self.lock();
        let names = match state.names(ino.0) {
            Ok(names) => names.clone(),
            Err(error) => return reply.error(error),
        };
        let skipped = usize::try_from(offset).unwrap();
        for (place, (name, node)) in names.iter().enumerate().skip(skipped) {
            let kind = state
                .attributes(*node)
                .map_or(FileType::RegularFile, |found| found.kind);
            if reply.add(INodeNo(*node), place as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.lock();
        let made = state.make(parent.0, name, mode, What::File(Vec::new()));
        match made.and_then(|node| state.entry(node)) {
            Ok(attributes) => reply.created(
                &NO_TIME,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(error) => reply.error(error),
        }
    }
}
