//! Zeroed buffers on cache-line boundaries, and a view of one that several threads write disjoint parts of.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::MmapMut;

/// Bytes from which a buffer is mapped. The allocator would write the zeros of an aligned block itself, and so touch
/// every page of it; a mapping's pages take memory when they are first written.
const MAPPED: usize = 1 << 20;

/// A zeroed, 64-byte aligned buffer of plain numbers.
pub(crate) struct Buffer<T: Plain> {
    ptr: *mut T,
    len: usize,
    /// The mapping it lies in, or none for a block of the allocator.
    map: Option<Arc<MmapMut>>,
}

/// A mapping cut into buffers, on huge pages where the system has them: all weights are read at every step, and pages of
/// 4 KiB would cost a table walk each.
pub(crate) struct Arena {
    map: Arc<MmapMut>,
    base: *mut u8,
    len: usize,
    used: usize,
}

fn map(layout: Layout) -> MmapMut {
    MmapMut::map_anon(layout.size()).unwrap_or_else(|_| handle_alloc_error(layout))
}

impl Arena {
    /// Room for `bytes`, what [`Arena::room`] says of each buffer added up.
    pub(crate) fn new(bytes: usize) -> Arena {
        let mut map = map(Buffer::<u8>::layout(bytes));
        // Without huge pages all works as well, only slower.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Arena { base: map.as_mut_ptr(), len: map.len(), map: Arc::new(map), used: 0 }
    }

    /// Bytes that a buffer of `bytes` takes.
    pub(crate) fn room(bytes: usize) -> usize {
        bytes.next_multiple_of(64)
    }

    pub(crate) fn buffer(&mut self, bytes: usize) -> Buffer<u8> {
        let start = self.used;
        self.used += Arena::room(bytes);
        assert!(start + bytes <= self.len, "an arena without room");
        // SAFETY: in bounds by the check; no other buffer has these bytes.
        let ptr = unsafe { self.base.add(start) };
        Buffer { ptr, len: bytes, map: Some(self.map.clone()) }
    }
}

/// Numbers for which all bits zero is the value zero.
pub(crate) trait Plain: Copy + Send + Sync + 'static {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for f32 {}

// SAFETY: the buffer owns its memory, and its elements are plain numbers.
unsafe impl<T: Plain> Send for Buffer<T> {}
// SAFETY: as above; shared access only reads.
unsafe impl<T: Plain> Sync for Buffer<T> {}

impl<T: Plain> Buffer<T> {
    pub(crate) fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len);
        if layout.size() >= MAPPED {
            let mut map = map(layout);
            return Buffer { ptr: map.as_mut_ptr().cast(), len, map: Some(Arc::new(map)) };
        }
        // SAFETY: the layout has a size above zero; zero bytes are valid elements.
        let ptr = unsafe { alloc_zeroed(layout) }.cast::<T>();
        if ptr.is_null() {
            handle_alloc_error(layout);
        }
        Buffer { ptr, len, map: None }
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<T>(len.max(1))
            .and_then(|layout| layout.align_to(64))
            .expect("a buffer's size overflows the address space")
    }

    /// A view through which threads may write parts that do not overlap.
    pub(crate) fn shared(&mut self) -> Shared<'_, T> {
        Shared { ptr: self.ptr, len: self.len, life: PhantomData }
    }

    /// Makes room for `len` elements, losing the contents when it must grow.
    pub(crate) fn ensure(&mut self, len: usize) {
        if self.len < len {
            *self = Buffer::zeroed(len);
        }
    }
}

impl<T: Plain> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.map.is_none() {
            // SAFETY: allocated in `zeroed` with the same layout.
            unsafe { dealloc(self.ptr.cast(), Self::layout(self.len)) }
        }
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the buffer owns `len` initialised elements.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the buffer owns `len` initialised elements, borrowed mutably here.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, self.len) }
    }
}

/// A buffer lent to the tasks of one parallel phase.
pub(crate) struct Shared<'a, T> {
    ptr: *mut T,
    len: usize,
    life: PhantomData<&'a mut T>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<'_, T> {}

// SAFETY: elements are plain numbers; every access states its range and promises that nobody else writes it.
unsafe impl<T: Plain> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Shared<'_, T> {}

impl<'a, T: Plain> Shared<'a, T> {
    /// `len` elements from `start`.
    ///
    /// # Safety
    /// No other task reads or writes them while the slice lives.
    pub(crate) unsafe fn slice(self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "a part outside the buffer");
        // SAFETY: in bounds by the check; unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(start), len) }
    }

    /// Writes one element.
    ///
    /// # Safety
    /// No other task reads or writes it in this phase.
    pub(crate) unsafe fn set(self, at: usize, value: T) {
        // SAFETY: passed on from the caller.
        let place = unsafe { self.slice(at, 1) };
        place[0] = value;
    }

    /// Pointer to `len` elements from `start`, for parts that interleave with other tasks' parts.
    pub(crate) fn at(self, start: usize, len: usize) -> *mut T {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "a part outside the buffer");
        // SAFETY: in bounds by the check.
        unsafe { self.ptr.add(start) }
    }

    /// `len` elements from `start`, to read.
    ///
    /// # Safety
    /// No task writes them while the slice lives.
    pub(crate) unsafe fn read(self, start: usize, len: usize) -> &'a [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "a part outside the buffer");
        // SAFETY: in bounds by the check; not written by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.ptr.add(start), len) }
    }
}
