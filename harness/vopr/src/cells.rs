//! Unsynchronised data, and the check that its accesses are ordered.
//!
//! An access is open from its begin to its end, and both ends count: a guard that is held while its
//! thread does other things is an access for all that time. Two accesses of which one is a write
//! race if one begins while the other is open, or if the thread that begins has not seen the end of
//! the other (FastTrack's rule: Flanagan, Freund, PLDI 2009).

use core::panic::Location as Site;

use crate::memory::{Access, Conflict, Fault};
use crate::objects::{Handle, Objects};
use crate::vector::{Clock, Moment, View};

type At = &'static Site<'static>;

#[derive(Debug, Default)]
struct Checked {
    /// The last write, or the creation.
    written: Option<(Moment, At)>,
    /// For each thread, its last read.
    reads: Vec<Option<(u32, At)>>,
    /// Open accesses: the exclusive one, and the shared ones by thread.
    writing: Option<(u32, At)>,
    reading: Vec<(u32, At)>,
}

/// All checkers of a world.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    cells: Objects<Checked>,
}

fn conflict<T>(earlier: &'static str, thread: u32, site: At) -> Result<T, Fault> {
    Err(Fault::Race(Conflict { earlier, thread, site }))
}

impl Checked {
    fn check_written(&self, clock: &Clock) -> Result<(), Fault> {
        if let Some((thread, site)) = self.writing {
            return conflict("being written", thread, site);
        }
        match self.written {
            Some((moment, site)) if !moment.seen_by(clock) => {
                conflict("written", moment.thread, site)
            }
            _ => Ok(()),
        }
    }

    fn check_read(&self, clock: &Clock) -> Result<(), Fault> {
        if let Some(&(thread, site)) = self.reading.first() {
            return conflict("being read", thread, site);
        }
        for (thread, read) in self.reads.iter().enumerate() {
            let thread = thread as u32;
            if let Some((time, site)) = *read
                && clock.of(thread) < time
            {
                return conflict("read", thread, site);
            }
        }
        Ok(())
    }

    fn note_read(&mut self, thread: u32, time: u32, site: At) {
        let index = thread as usize;
        if index >= self.reads.len() {
            self.reads.resize(index + 1, None);
        }
        self.reads[index] = Some((time, site));
    }
}

impl Cells {
    pub(crate) fn create(&mut self, views: &[View], by: Access) -> Handle {
        let time = views[by.thread as usize].clock.of(by.thread);
        let (handle, recycled) = self.cells.create();
        let written = Some((Moment { thread: by.thread, time }, by.site));
        match recycled {
            Some(cell) => {
                cell.written = written;
                cell.reads.clear();
                cell.writing = None;
                cell.reading.clear();
            }
            None => self.cells.fill(handle, Checked { written, ..Checked::default() }),
        }
        handle
    }

    pub(crate) fn begin_read(
        &mut self,
        views: &[View],
        by: Access,
        at: Handle,
    ) -> Result<(), Fault> {
        let clock = &views[by.thread as usize].clock;
        let cell = self.cells.get_mut(at).ok_or(Fault::Gone)?;
        cell.check_written(clock)?;
        cell.note_read(by.thread, clock.of(by.thread), by.site);
        cell.reading.push((by.thread, by.site));
        Ok(())
    }

    /// The end of a shared access, by whichever thread holds its token now.
    pub(crate) fn end_read(&mut self, views: &[View], by: u32, at: Handle) {
        let Some(cell) = self.cells.get_mut(at) else { return };
        let open = cell.reading.iter().position(|(thread, _)| *thread == by).unwrap_or(0);
        if open < cell.reading.len() {
            let (_, site) = cell.reading.swap_remove(open);
            cell.note_read(by, views[by as usize].clock.of(by), site);
        }
    }

    pub(crate) fn begin_write(
        &mut self,
        views: &[View],
        by: Access,
        at: Handle,
    ) -> Result<(), Fault> {
        let clock = &views[by.thread as usize].clock;
        let cell = self.cells.get_mut(at).ok_or(Fault::Gone)?;
        cell.check_written(clock)?;
        cell.check_read(clock)?;
        let moment = Moment { thread: by.thread, time: clock.of(by.thread) };
        cell.written = Some((moment, by.site));
        cell.writing = Some((by.thread, by.site));
        Ok(())
    }

    /// The end of an exclusive access, by whichever thread holds its token now.
    pub(crate) fn end_write(&mut self, views: &[View], by: u32, at: Handle) {
        let Some(cell) = self.cells.get_mut(at) else { return };
        if let Some((_, site)) = cell.writing.take() {
            let time = views[by as usize].clock.of(by);
            cell.written = Some((Moment { thread: by, time }, site));
        }
    }

    /// The end of the data is a write.
    pub(crate) fn destroy(&mut self, views: &[View], by: Access, at: Handle) -> Result<(), Fault> {
        let clock = &views[by.thread as usize].clock;
        let cell = self.cells.get_mut(at).ok_or(Fault::Gone)?;
        cell.check_written(clock)?;
        cell.check_read(clock)?;
        self.cells.destroy(at);
        Ok(())
    }

    pub(crate) fn number(&self, at: Handle) -> u32 {
        self.cells.number(at)
    }

    pub(crate) fn owns(&self, at: Handle) -> bool {
        self.cells.owns(at)
    }
}
