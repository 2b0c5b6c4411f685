//! The folder of `--data`: the table, and the key that its secrets are sealed with.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use data_encoding::BASE64;
use shared::entropy::Entropy;
use shared::secret::Keyring;

/// A folder that is ours as long as this value lives.
#[derive(Debug)]
pub struct Data {
    folder: PathBuf,
    _lock: File,
}

impl Data {
    /// Takes a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// If another process has it, or the file system refuses.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("lock");
        let lock =
            File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another `cargo local` uses {}; give --data another folder",
                    folder.display()
                )
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("can't lock {}", path.display()))
            }
        }
    }

    /// Where the table is.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join("payrelay.db")
    }

    /// The key that seals secrets; made, readable by its owner only, when there is no table yet.
    ///
    /// # Errors
    /// If it is gone, or no key any more.
    pub fn keyring(&self, entropy: &dyn Entropy) -> anyhow::Result<Arc<Keyring>> {
        let path = self.folder.join("seal.key");
        if !path.exists() {
            if self.database().exists() {
                bail!(
                    "{} is missing, and without it the secrets in {} can't be opened",
                    path.display(),
                    self.database().display()
                );
            }
            write_private(&path, &new_key(entropy))
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let keyring = Keyring::parse(text.trim())
            .with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Arc::new(keyring))
    }
}

/// A new seal key, as the setting has it.
#[must_use]
pub fn new_key(entropy: &dyn Entropy) -> String {
    format!("local:{}", BASE64.encode(&entropy.bytes::<32>()))
}

/// All of it or nothing: a half-written key would lock its owner out.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use shared::entropy::SeededEntropy;
    use shared::secret::{Context as Bound, Secret};

    use super::*;

    /// A folder of its own for each test, gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("payrelay-{}-{name}", std::process::id()));
            let _was_there = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _still_there = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_key_is_made_once_is_its_owners_only_and_opens_after_a_restart() {
        let folder = Folder::new("key");
        let bound = Bound {
            tenant: "demo",
            item: "x",
        };
        let first = Data::open(&folder.0).expect("a folder");
        let keyring = first.keyring(&SeededEntropy::new(1)).expect("a key");
        let sealed = keyring.seal_secret(&Secret::new("hush"), bound, &SeededEntropy::new(2));
        drop(first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.0.join("seal.key"))
                .expect("a file")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = Data::open(&folder.0).expect("a folder");
        let keyring = again.keyring(&SeededEntropy::new(3)).expect("a key");
        assert_eq!(keyring.open_secret(&sealed, bound), Ok(Secret::new("hush")));
    }

    #[test]
    fn a_folder_has_one_process_at_a_time() {
        let folder = Folder::new("lock");
        let first = Data::open(&folder.0).expect("a folder");
        let second = Data::open(&folder.0).map(|_| ()).expect_err("it is taken");
        assert!(second.to_string().contains("--data"), "{second}");
        drop(first);
        assert!(Data::open(&folder.0).is_ok());
    }

    #[test]
    fn a_table_without_its_key_is_refused_and_so_is_a_damaged_key() {
        let folder = Folder::new("lost");
        let data = Data::open(&folder.0).expect("a folder");
        fs::write(data.database(), "").expect("a file");
        let lost = data
            .keyring(&SeededEntropy::new(1))
            .map(|_| ())
            .expect_err("it is lost");
        assert!(lost.to_string().contains("seal.key is missing"), "{lost}");
        fs::write(folder.0.join("seal.key"), "local:nonsense").expect("a file");
        let damaged = data
            .keyring(&SeededEntropy::new(1))
            .map(|_| ())
            .expect_err("it is damaged");
        assert!(
            damaged.to_string().contains("seal.key is damaged"),
            "{damaged}"
        );
    }
}
