//! What wit-bindgen makes of the contract. Nothing here is for authors: the types that they meet are re-exported
//! from the crate's root, and the export macros reach the rest through `__private`.
//!
//! The contract's worlds share the `metadata` export, and the macro that exports it may be defined once in a crate.
//! So what all stages share is one world here, each stage's export is another, and the tool that makes the component
//! merges the two that a plugin exports. The base of all component type sections is in each object that links this
//! crate; a stage's own section is in its export macro alone.

/// What every stage imports and exports.
pub mod base {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package hallmark:sdk;

            world base {
                use hallmark:plugin/types@0.1.0.{finding};
                import hallmark:plugin/types@0.1.0;
                import hallmark:plugin/submission@0.1.0;
                import hallmark:plugin/registry@0.1.0;
                import hallmark:plugin/log@0.1.0;
                export hallmark:plugin/metadata@0.1.0;
                export configure: func(settings: string) -> result<_, list<finding>>;
            }
        ",
        generate_all,
        generate_unused_types: true,
        pub_export_macro: true,
        additional_derives: [PartialEq, Eq],
        additional_type_attributes: {
            "hallmark:plugin/types@0.1.0/resolution": [#[derive(Default)]],
        },
    });
}

/// The export of the `resolve` stage.
pub mod resolver {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package hallmark:sdk;

            world resolver-only {
                export hallmark:plugin/resolver-stage@0.1.0;
            }
        ",
        with: {
            "hallmark:plugin/types@0.1.0": crate::bindings::base::hallmark::plugin::types,
            "hallmark:plugin/resolver-stage@0.1.0": generate,
        },
        pub_export_macro: true,
    });
}

/// The export of the `validate` stage.
pub mod validator {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package hallmark:sdk;

            world validator-only {
                export hallmark:plugin/validator-stage@0.1.0;
            }
        ",
        with: {
            "hallmark:plugin/types@0.1.0": crate::bindings::base::hallmark::plugin::types,
            "hallmark:plugin/validator-stage@0.1.0": generate,
        },
        pub_export_macro: true,
    });
}

/// The export of the `policy` stage.
pub mod policy {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package hallmark:sdk;

            world policy-only {
                export hallmark:plugin/policy-stage@0.1.0;
            }
        ",
        with: {
            "hallmark:plugin/types@0.1.0": crate::bindings::base::hallmark::plugin::types,
            "hallmark:plugin/policy-stage@0.1.0": generate,
        },
        pub_export_macro: true,
    });
}

/// The export of the examples that a plugin brings along.
pub mod self_test {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package hallmark:sdk;

            world self-test-only {
                export hallmark:plugin/self-test@0.1.0;
            }
        ",
        with: {
            "hallmark:plugin/types@0.1.0": crate::bindings::base::hallmark::plugin::types,
            "hallmark:plugin/self-test@0.1.0": generate,
        },
        pub_export_macro: true,
    });
}
