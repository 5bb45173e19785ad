//! The export macros. On any target but wasm32 they export nothing, so that a plugin's crate is also a plain library
//! that tests and benches link.

use std::cell::RefCell;

use crate::{Description, Finding};

/// Where a component keeps its configured plugin. The host's snapshot keeps it for every evaluation.
#[doc(hidden)]
pub struct Slot<P>(RefCell<Option<P>>);

impl<P> Slot<P> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Keeps the plugin, if there is one.
    pub fn fill(&self, configured: Result<P, Vec<Finding>>) -> Result<(), Vec<Finding>> {
        #[cfg(target_arch = "wasm32")]
        crate::log::write_panics();
        *self.0.borrow_mut() = Some(configured?);
        Ok(())
    }

    /// Hands the plugin out.
    pub fn run<T>(&self, evaluate: impl FnOnce(&P) -> T) -> T {
        evaluate(self.0.borrow().as_ref().expect("the host configures a plugin before it evaluates it"))
    }
}

impl<P> Default for Slot<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// The description in the contract's form.
#[doc(hidden)]
pub fn describe(own: Description) -> crate::bindings::base::exports::hallmark::plugin::metadata::Description {
    use crate::bindings::base::exports::hallmark::plugin::metadata;
    let finding_codes = own.finding_codes.into_iter().map(|code| metadata::FindingCode {
        code: code.code.into_owned(),
        summary: code.summary.into_owned(),
        help: code.help.into_owned(),
    });
    metadata::Description {
        name: own.name.into_owned(),
        version: own.version.into_owned(),
        summary: own.summary.into_owned(),
        settings_schema: own.settings_schema.into_owned(),
        finding_codes: finding_codes.collect(),
    }
}

/// Exports a [`Resolver`](crate::Resolver): once in a crate, at its top level.
#[macro_export]
macro_rules! export_resolver {
    ($plugin:ty $(, examples = $examples:path)? $(,)?) => {
        $crate::__export!($plugin, Resolver, configure_resolver, resolver, [$($examples)?], {
            impl $crate::__private::resolver::exports::hallmark::plugin::resolver_stage::Guest for Component {
                fn resolve(
                    subject: $crate::Subject,
                    variables: ::std::vec::Vec<$crate::Variable>,
                ) -> $crate::Resolution {
                    PLUGIN.with(|slot| {
                        slot.run(|plugin| {
                            <$plugin as $crate::Resolver>::resolve(
                                plugin,
                                &$crate::Submission::new(&subject),
                                &variables,
                            )
                        })
                    })
                }
            }
        });
    };
}

/// Exports a [`Validator`](crate::Validator): once in a crate, at its top level.
#[macro_export]
macro_rules! export_validator {
    ($plugin:ty $(, examples = $examples:path)? $(,)?) => {
        $crate::__export!($plugin, Validator, configure_validator, validator, [$($examples)?], {
            impl $crate::__private::validator::exports::hallmark::plugin::validator_stage::Guest for Component {
                fn validate(subject: $crate::Subject) -> ::std::vec::Vec<$crate::Finding> {
                    PLUGIN.with(|slot| {
                        slot.run(|plugin| {
                            <$plugin as $crate::Validator>::validate(plugin, &$crate::Submission::new(&subject))
                        })
                    })
                }
            }
        });
    };
}

/// Exports a [`Policy`](crate::Policy): once in a crate, at its top level.
#[macro_export]
macro_rules! export_policy {
    ($plugin:ty $(, examples = $examples:path)? $(,)?) => {
        $crate::__export!($plugin, Policy, configure_policy, policy, [$($examples)?], {
            impl $crate::__private::policy::exports::hallmark::plugin::policy_stage::Guest for Component {
                fn decide(subject: $crate::Subject) -> ::std::vec::Vec<$crate::Finding> {
                    PLUGIN.with(|slot| {
                        slot.run(|plugin| {
                            <$plugin as $crate::Policy>::decide(plugin, &$crate::Submission::new(&subject))
                        })
                    })
                }
            }
        });
    };
}

/// What the three exports share. A macro, since what wit-bindgen asks for is an implementation and a macro call in
/// the author's own crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $stage:ident, $configure:ident, $module:ident, [$($examples:path)?], { $($entry:tt)* }) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            ::std::thread_local! {
                static PLUGIN: $crate::__private::Slot<$plugin> = const { $crate::__private::Slot::new() };
            }

            impl $crate::__private::base::Guest for Component {
                fn configure(settings: ::std::string::String) -> ::std::result::Result<(), ::std::vec::Vec<$crate::Finding>> {
                    PLUGIN.with(|slot| slot.fill($crate::__private::$configure(&settings)))
                }
            }

            impl $crate::__private::base::exports::hallmark::plugin::metadata::Guest for Component {
                fn describe() -> $crate::__private::base::exports::hallmark::plugin::metadata::Description {
                    $crate::__private::describe(<$plugin as $crate::$stage>::description())
                }
            }

            $($entry)*

            $(
                impl $crate::__private::self_test::exports::hallmark::plugin::self_test::Guest for Component {
                    fn examples()
                    -> ::std::vec::Vec<$crate::__private::self_test::exports::hallmark::plugin::self_test::Example>
                    {
                        $crate::__private::examples($examples())
                    }
                }

                $crate::__private::self_test::export!(Component with_types_in $crate::__private::self_test);
            )?

            $crate::__private::base::export!(Component with_types_in $crate::__private::base);
            $crate::__private::$module::export!(Component with_types_in $crate::__private::$module);
        };

        // Says at once, on every target, that the type does not have the trait of the stage.
        const _: fn() = || {
            fn has_the_trait_of_its_stage<P: $crate::$stage>() {}
            has_the_trait_of_its_stage::<$plugin>();
        };

        $(
            // Likewise of what gives the examples.
            const _: fn() -> ::std::vec::Vec<$crate::Example> = $examples;
        )?
    };
}
