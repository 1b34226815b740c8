//! What strangers paste: any bytes are explained or said not to be understood; of an explanation the rules stand in their
//! order, one is broken at most, that of its finding, and nothing is judged after it; and the same bytes have the same
//! explanation.

use hybridge::explain::{Scene, explain};

use crate::explained::check_form;

pub fn check(bytes: &[u8]) {
    match Scene::of_bytes(bytes) {
        Ok(scene) => {
            let explanation = explain(&scene);
            check_form(&explanation);
            if let Some(finding) = &explanation.finding {
                assert!(!finding.words.is_empty());
            }
            assert_eq!(format!("{explanation:?}"), format!("{:?}", explain(&scene)));
        }
        Err(why) => assert!(!why.0.is_empty()),
    }
}
