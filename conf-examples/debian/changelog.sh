#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Prints debian/changelog: changelog.sh CHANGES
#
# The version is that of the first section of CHANGES, "1.2.3 2026-11-22". Above
# a section "Unreleased" it is the last one released (0 before the first) and
# the number of entries since then: 1.2.3+4. What is built for Debian 12 sorts
# below the same for Debian 13. Dates: of the release, or SOURCE_DATE_EPOCH, or
# of the last commit: who builds a commit again gets the same package.
set -eu

changes=$1
. /etc/os-release

# "unreleased" and a count, or "released" and a date; before it the version
read -r version kind what <<END
$(awk '/^Unreleased/ && !open  { open = 1; next }
       /^[0-9]+(\.[0-9]+)+( |$)/ { version = $1; date = $2; exit }
       open && /^ +\*\) /         { n++ }
       END {
           if (open) print (version == "" ? 0 : version), "unreleased", n + 0
           else if (version != "") print version, "released", date
           else print "0 none"
       }' "$changes")
END

case $kind in
    unreleased) version=$version+$what
                day=@${SOURCE_DATE_EPOCH:-$(cd "$(dirname "$changes")" \
                    && git log -1 --format=%ct 2>/dev/null \
                    || stat -c %Y CHANGES)} ;;
    released)   day=${what:-@$SOURCE_DATE_EPOCH} ;;
    *)          echo "$changes: no version" >&2; exit 1 ;;
esac

cat <<END
libnginx-mod-http-s3-cache ($version-1~deb${VERSION_ID:-99}u1) ${VERSION_CODENAME:-unstable}; urgency=medium

  * Built from the tree of the project: changelog.gz has what is new.

 -- ${DEBFULLNAME:-nginx S3 cache} <${DEBEMAIL:-nginx-s3-cache@noreply.invalid}>  $(LC_ALL=C date -u -d "$day" '+%a, %d %b %Y %H:%M:%S +0000')
END
