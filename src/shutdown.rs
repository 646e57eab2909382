//! The shutdown: its time budget, and the roster of everything that has not ended.

// Without signals everything is registered, but the end is not enforced.
#![cfg_attr(not(all(unix, feature = "signal")), allow(dead_code, unused_imports))]

mod budget;
mod roster;

pub(crate) use budget::{Budget, DEFAULT, Kind, Order, Phase, Place, inside, order, set_order};
pub(crate) use roster::{
    Overdue, Roster, is_idle, managers_inside, news, overdue, owed, phase, register, running,
    running_inside,
};
