# Sourced by the test scripts: which program is tested. It runs nothing else.
#
#   find_binary VARIABLE PACKAGE   sets and exports VARIABLE: the program it names, or else one that
#                                  is built from PACKAGE (needs $root, the checkout's folder)
find_binary() {
    local -n program=$1
    if [[ -n ${program:-} ]]; then
        program=$(realpath "$program")
    else
        cargo build --release --locked --manifest-path "$root/Cargo.toml" -p "$2"
        local target
        target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$root/Cargo.toml" |
            sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
        program=$target/release/$2
    fi
    [[ -x $program ]] || {
        echo "$program is no program: set $1" >&2
        exit 1
    }
    export "${1?}"
}
