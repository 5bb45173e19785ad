//! What several rule plugins ask of a submission, whatever its kind: its id, its version, its tags. It is a library and
//! no plugin, knows no plugin's settings, and must hold nothing that one plugin alone uses.

pub mod address;
pub mod codes;
pub mod forms;
pub mod identity;
pub mod nearest;
pub mod tags;
pub mod testing;
pub mod values;
