//! The one binary. Everything it does is in the library.

/// Judging allocates much and briefly, on many threads: with the allocator of libc it took a quarter of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hallmark::cli::run()
}
