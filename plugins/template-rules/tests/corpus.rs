//! Real skills, which are prompts with a document's form, are publishable as templates with the default settings. They
//! are read in place, and skipped where they are not.

use std::path::Path;

use hallmark_plugin::serde_json::json;
use hallmark_plugin::testing::Bench;
use template_rules::TemplateRules;

#[test]
fn real_prompts_are_publishable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/skills");
    if !folder.is_dir() {
        println!("skipped: there is no corpus at {}", folder.display());
        return;
    }
    let mut count = 0;
    for entry in folder.read_dir().expect("the folder is readable") {
        let skill = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(skill.join("SKILL.md")) else { continue };
        let id = skill.file_name().expect("a name").to_string_lossy().into_owned();
        let submission = json!({
            "templateId": id, "name": id, "version": "1.0.0", "description": "A skill.", "category": "prompt",
            "content": {"format": "markdown", "body": text},
        });
        let findings = Bench::new()
            .subject(|subject| {
                subject.kind = "templates".to_owned();
                subject.document = "/content".to_owned();
                subject.id = id;
            })
            .submission(submission)
            .validate::<TemplateRules>();
        assert_eq!(findings, [], "{}", skill.display());
        count += 1;
    }
    assert_eq!(count, 7);
}
