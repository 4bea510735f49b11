//! A pip that copies a wheel made by the test, or fails as the test tells it to.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::Path,
};

use zip::{ZipWriter, write::SimpleFileOptions};

/// Paths inside a wheel with their bytes.
pub(crate) type Members<'a> = &'a [(&'a str, &'a [u8])];

/// Writes wheels `name-version.whl` into `folder`, and a script that hands them out; `extra` runs first.
///
/// The script refuses to go on when its standard input is open or a flag that keeps code from running is missing.
pub(crate) fn fake_pip(
    folder: &Path,
    wheels: &[(&str, Members<'_>)],
    extra: &str,
) -> Vec<OsString> {
    for (requirement, members) in wheels {
        let mut wheel = ZipWriter::new(File::create(folder.join(requirement)).unwrap());
        for (path, bytes) in *members {
            wheel.start_file(*path, SimpleFileOptions::default()).unwrap();
            wheel.write_all(bytes).unwrap();
        }
        wheel.finish().unwrap();
    }
    let script = folder.join("pip.sh");
    let text = format!(
        r#"{extra}
[ "$1" = download ] || {{ echo "not a download" >&2; exit 1; }}
case " $* " in *" --no-deps "*) ;; *) echo "would take dependencies" >&2; exit 1;; esac
case " $* " in *" --only-binary=:all: "*) ;; *) echo "would build" >&2; exit 1;; esac
if read -r line; then echo "stdin is open" >&2; exit 1; fi
while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done
cp "{}/$1" "$dest/$1.whl"
"#,
        folder.display()
    );
    fs::write(&script, text).unwrap();
    vec!["sh".into(), script.into()]
}
