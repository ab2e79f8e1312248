//! The tap's side: answers, and changes nothing.

use std::fs::{self, File};
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::pull::files::{FOLDER, is_name};
use crate::pull::protocol::{
    Answer, KeptFile, PAGE_BYTES, PAGE_ROWS, PIECE_BYTES, PRESENT_MAX, QUESTION_MAX, Question,
    VERSION, read, write,
};
use crate::store::{StoreError, StoreReader, StoredCanary};

/// Answers what is asked on `from` until nothing more is, about the store in `directory`.
/// `configured` are the canaries that stand in the configuration.
///
/// # Errors
/// The connection failed, or the other side asked for what there is not.
pub fn serve(
    directory: &Path,
    mut configured: Vec<StoredCanary>,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> io::Result<()> {
    configured.truncate(PRESENT_MAX);
    let mut server = Server {
        directory,
        configured,
        reader: None,
    };
    while let Some(question) = read::<Question>(from, QUESTION_MAX)? {
        match question {
            Question::Piece { name, offset } => server.piece(&name, offset, to)?,
            question => {
                let answer = server.answer(question);
                let answer = answer.unwrap_or_else(|error| Answer::Refused(error.to_string()));
                write(to, &answer)?;
            }
        }
    }
    Ok(())
}

struct Server<'a> {
    directory: &'a Path,
    configured: Vec<StoredCanary>,
    /// Opened with the first question.
    reader: Option<StoreReader>,
}

impl Server<'_> {
    fn answer(&mut self, question: Question) -> Result<Answer, StoreError> {
        if let Question::Hello { .. } = question {
            return Ok(Answer::Hello {
                protocol: VERSION,
                program: env!("CARGO_PKG_VERSION").into(),
            });
        }
        if let Question::Files { after } = question {
            return Ok(Answer::Files(kept_files(self.directory, &after)));
        }
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => StoreReader::open(self.directory)?,
        };
        let reader = self.reader.insert(reader);
        Ok(match question {
            Question::Link { up_to } => Answer::Link(reader.link_up_to(up_to)?),
            Question::Rows { link, request } => {
                Answer::Rows(reader.rows((link, request), PAGE_ROWS, PAGE_BYTES)?)
            }
            Question::Statuses { first, last } => {
                Answer::Statuses(reader.statuses(first, last, PAGE_ROWS)?)
            }
            Question::Canaries { from } => Answer::Canaries(reader.canaries_from(from, PAGE_ROWS)?),
            Question::Acks { after } => Answer::Acks(reader.acks(after, PAGE_ROWS)?),
            Question::Present => Answer::Present {
                configured: self.configured.clone(),
                floods: reader.floods(PRESENT_MAX)?,
            },
            Question::Hello { .. } | Question::Files { .. } | Question::Piece { .. } => {
                Answer::Refused("asked in the wrong place".into())
            }
        })
    }

    fn piece(&self, name: &str, offset: u64, to: &mut impl Write) -> io::Result<()> {
        let found = match is_name(name) {
            true => piece_of(&self.directory.join(FOLDER).join(name), offset),
            false => Err(io::ErrorKind::InvalidInput.into()),
        };
        match found {
            Ok((bytes, size)) => {
                let answer = Answer::Piece {
                    bytes: bytes.len(),
                    size,
                };
                write(to, &answer)?;
                to.write_all(&bytes)?;
                to.flush()
            }
            Err(error) => write(to, &Answer::Refused(format!("{name}: {error}"))),
        }
    }
}

/// Names after `after`, in order. A folder that is not there, or may not be read, has none.
fn kept_files(directory: &Path, after: &str) -> Vec<KeptFile> {
    let entries = fs::read_dir(directory.join(FOLDER));
    let entries = entries.into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<KeptFile> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let metadata = entry.metadata().ok()?; // that of a link itself
            let fits = is_name(&name) && metadata.is_file() && name.as_str() > after;
            fits.then_some(KeptFile {
                name,
                size: metadata.len(),
            })
        })
        .collect();
    files.sort_by(|left, right| left.name.cmp(&right.name));
    files.truncate(PAGE_ROWS);
    files
}

/// A piece of a file, and how large the file is. A link is not followed.
fn piece_of(path: &Path, offset: u64) -> io::Result<(Vec<u8>, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: OwnedFd = openat(CWD, path, flags, Mode::empty())?;
    let mut file = File::from(file);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(PIECE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.len()))
}
