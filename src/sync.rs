//! Locks, atomics and threads of the crate: everything above takes them from here, so that a model checker can take
//! their place.

pub(crate) use arc_swap::ArcSwap;
pub(crate) use crossbeam::utils::CachePadded;
pub(crate) use event_listener::{Event, EventListener, Listener};
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};
pub(crate) use std::sync::{Arc, OnceLock, Weak};
pub(crate) use std::thread;
