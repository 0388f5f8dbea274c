//! What an index needs of its machine besides its port.

use crate::cli;
use crate::keys::{self, Whose};
use crate::sandbox::Needs;

/// The files that it was given, which are read again when they change; the folder of its own key; connections, where there is an
/// engine.
pub fn needs(args: &cli::Server) -> Needs {
    let mut needs = Needs { connects: args.store.is_some(), ..Needs::default() };
    let cli::Server { tokens, address_list, tls_client_ca, own, .. } = args;
    let cli::Server { store_password_file, store_ca, store_cert, store_key, .. } = args;
    let own_files = [tokens, address_list, tls_client_ca, &own.tls_cert, &own.tls_key];
    let of_the_engine = [store_password_file, store_ca, store_cert, store_key];
    own_files.into_iter().chain(of_the_engine).flatten().for_each(|file| needs.reads_again(file));
    if let Some(key) = &args.ticket_key {
        needs.reads_again(key);
        if !key.exists() {
            needs.write.extend(key.parent().map(|folder| match folder.as_os_str().is_empty() {
                true => ".".into(),
                false => folder.to_owned(),
            }));
        }
    }
    if args.tls.is_some() && own.tls_cert.is_none() {
        // What is wrong with it is told when the key is read.
        needs.write.extend(keys::make_folder(own, Whose::Index));
    }
    needs
}
