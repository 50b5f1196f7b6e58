#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mkimage.py DIR [NAME...]: writes image archives for the tests, good ones and hostile ones.

MKIMAGE_BASE names a root file system tar to use as the lowest layer in place of a few files, for
images that are to be run.

A layer is a list of members; a member is a function that adds itself to an open tarfile:
D(name) directory, F(name, data) file, S(name, target) symlink, L(name, target) hard link,
W(name) whiteout, P(name) fifo, C(name, major, minor) character device. Keywords: mode, uid, gid,
mtime, pax.
"""
import gzip
import hashlib
import io
import json
import lzma
import os
import platform
import struct
import subprocess
import sys
import tarfile

HOST = {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine())
OTHER = 's390x' if HOST != 's390x' else 'amd64'
OCI = 'application/vnd.oci.image.'
DAY = 86400 * 365 * 40


def member(name, kind, usual_mode, target='', data=b'', device=(0, 0), **over):
    def add(tar):
        info = tarfile.TarInfo(name)
        info.type = kind
        info.mode = over.get('mode', usual_mode)
        info.uid, info.gid = over.get('uid', 0), over.get('gid', 0)
        info.mtime = over.get('mtime', DAY)
        info.linkname, info.size = target, len(data)
        info.devmajor, info.devminor = device
        info.pax_headers = dict(over.get('pax', {}))
        tar.addfile(info, io.BytesIO(data))
    return add


def D(name, **over):
    return member(name, tarfile.DIRTYPE, 0o755, **over)


def F(name, data='', **over):
    return member(name, tarfile.REGTYPE, 0o644,
                  data=data if isinstance(data, bytes) else data.encode(), **over)


def S(name, target, **over):
    return member(name, tarfile.SYMTYPE, 0o777, target=target, **over)


def L(name, target, **over):
    return member(name, tarfile.LNKTYPE, 0o644, target=target, **over)


def P(name, **over):
    return member(name, tarfile.FIFOTYPE, 0o600, **over)


def C(name, major, minor, **over):
    return member(name, tarfile.CHRTYPE, 0o600, device=(major, minor), **over)


def SPARSE(name, size, *extents):
    """extents: (offset, data); GNU's form 1.0"""
    numbers = [len(extents)] + [n for offset, data in extents for n in (offset, len(data))]
    table = ''.join('%d\n' % n for n in numbers).encode()
    table += b'\0' * (-len(table) % 512)
    return F('GNUSparseFile.0/' + os.path.basename(name), table + b''.join(data for _, data in extents),
             pax={'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': name,
                  'GNU.sparse.realsize': str(size)})


def W(name):
    directory, base = os.path.split(name)
    return F(os.path.join(directory, '.wh.' + base), mode=0)


def tar(members, fmt=tarfile.PAX_FORMAT, common=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=fmt, pax_headers=common or {}) as archive:
        for add in members:
            add(archive)
    return out.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def packed(data, how):
    """how: none, gzip, members (two gzip members), zstd, frames (two zstd frames), xz"""
    if how == 'gzip':
        return gzip.compress(data, mtime=0)
    if how == 'members':
        return gzip.compress(data[:700], mtime=0) + gzip.compress(data[700:], mtime=0)
    if how == 'zstd':
        return subprocess.run(['zstd', '-q', '-c'], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
    if how == 'frames':
        return packed(data[:700], 'zstd') + packed(data[700:], 'zstd')
    if how == 'xz':
        return lzma.compress(data)
    return data


SUFFIX = {'gzip': '+gzip', 'members': '+gzip', 'zstd': '+zstd', 'frames': '+zstd'}


def config_of(layers, arch=HOST, diff_ids=None, **config):
    config.setdefault('Env', ['PATH=/bin'])
    return {'architecture': arch, 'os': 'linux', 'config': config,
            'rootfs': {'type': 'layers',
                       'diff_ids': diff_ids or ['sha256:' + sha(layer) for layer in layers]}}


class Layout:
    """An OCI layout in memory; rows are what index.json lists."""

    def __init__(self):
        self.blobs, self.rows = {}, []

    def blob(self, data, media_type):
        self.blobs[sha(data)] = data
        return {'mediaType': media_type, 'digest': 'sha256:' + sha(data), 'size': len(data)}

    def json(self, value, media_type):
        return self.blob(json.dumps(value).encode(), media_type)

    def image(self, layers, how='gzip', config=None, change=None, **fields):
        """change(manifest): a last touch before the manifest is written"""
        rows = [self.blob(packed(layer, how), OCI + 'layer.v1.tar' + SUFFIX.get(how, ''))
                for layer in layers]
        manifest = {'schemaVersion': 2, 'mediaType': OCI + 'manifest.v1+json',
                    'config': self.json(config or config_of(layers, **fields),
                                        OCI + 'config.v1+json'),
                    'layers': rows}
        if change:
            change(manifest)
        return self.json(manifest, OCI + 'manifest.v1+json')

    def add(self, row, name=None):
        row = dict(row)
        if name:
            row['annotations'] = {**row.get('annotations', {}),
                                  'org.opencontainers.image.ref.name': name}
        self.rows.append(row)

    def members(self):
        index = json.dumps({'schemaVersion': 2, 'manifests': self.rows}).encode()
        return ([F('oci-layout', '{"imageLayoutVersion": "1.0.0"}'), F('index.json', index)] +
                [F('blobs/sha256/' + name, data) for name, data in self.blobs.items()])

    def write(self, path, how='none'):
        write(path, packed(tar(self.members()), how))


def write(path, data):
    with open(path, 'wb') as out:
        out.write(data)


def oci(layers, name='image', outer='none', **fields):
    def make(path):
        layout = Layout()
        layout.add(layout.image(layers, **fields), name)
        layout.write(path, outer)
    return make


def two(*images):
    def make(path):
        layout = Layout()
        for name, layers in images:
            layout.add(layout.image(layers, how='none'), name)
        layout.write(path)
    return make


def docker(layers, tags, links=False, manifest=True, how='none', modern=False):
    def make(path):
        config = json.dumps(config_of(layers)).encode()
        members, names, seen = [], [], set()
        for n, layer in enumerate(layers):
            data = packed(layer, how)
            if links:
                stored, name = sha(layer) + '.tar', 'layer%d/layer.tar' % n
                members.append(S(name, '../' + stored))
            else:
                stored = name = 'blobs/sha256/' + sha(data) if modern else sha(layer) + '/layer.tar'
            if stored not in seen:
                members.insert(0, F(stored, data))
            seen.add(stored)
            names.append(name)
        config_name = ('blobs/sha256/%s' if modern else '%s.json') % sha(config)
        members.append(F(config_name, config))
        if manifest:
            members.append(F('manifest.json', json.dumps(
                [{'Config': config_name, 'RepoTags': tags, 'Layers': names}])))
        write(path, tar(members))
    return make


BASE = [D('bin'), F('bin/sh', '#!', mode=0o755), D('etc'), F('etc/passwd', 'root:x:0:0::/:/bin/sh\n'),
        D('tmp', mode=0o1777)]
if 'MKIMAGE_BASE' in os.environ:
    with open(os.environ['MKIMAGE_BASE'], 'rb') as base:
        B = base.read()
else:
    B = tar(BASE)
ALIASED = tar([D('d'), F('keep', 'v1\n'), L('d/x', 'keep'), D('e'), F('e/own', '1')])
MARKED = tar([D('d'), D('d/x'), F('d/x/1', '1'), D('d/s'), F('d/s/2', '2'), D('e'), F('e/own', '1')])
HI, BYE = tar([F('hi', 'hi\n')]), tar([F('hi', 'bye\n')])
LONG = 'x' * 120 + '/' + 'é' * 100 + '/' + 'y' * 200
NAMES = [F(LONG, 'long\n'), S('symlink', LONG), L('hardlink', LONG)]
OWNERS = [F('big', 'x', uid=3000000000, gid=4294967294), F('mid', 'x', uid=2097152, gid=2097152)]
CAPABILITY = struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0)
ACL = struct.pack('<I' + 'HHI' * 5, 2, 1, 6, 0xffffffff, 2, 4, 1234, 4, 4, 0xffffffff,
                  0x10, 4, 0xffffffff, 0x20, 4, 0xffffffff)


def attributes():
    xattr = 'SCHILY.xattr.'
    def text(value):
        return value.decode('utf-8', 'surrogateescape')
    return tar([
        D('./', mode=0o750, uid=7, gid=8),
        F('setuid', 'x', mode=0o4755), F('setgid', 'x', mode=0o2755, uid=5, gid=6),
        D('sticky', mode=0o1777), D('deep'), D('deep/er', mode=0o700, uid=9, gid=9, mtime=DAY + 5),
        F('deep/er/file', 'y', mtime=DAY + 6), S('dangling', '/no/where'), P('fifo', mode=0o640),
        C('null', 1, 3, mode=0o666), F('a b\nc', 'odd name'), F('empty'),
        F('user', 'x', pax={xattr + 'user.note': 'text', xattr + 'trusted.overlay.redirect': '/x',
                            xattr + 'user.overlay.opaque': 'y',
                            xattr + 'security.selinux': 'label'}),
        F('capable', 'x', mode=0o755, pax={xattr + 'security.capability': text(CAPABILITY)}),
        F('acl', 'x', pax={xattr + 'system.posix_acl_access': text(ACL)}),
        F('textacl', 'x', pax={'SCHILY.acl.access':
                               'user::rw-,user:1234:r--:1234,group::r--,mask::r--,other::r--'}),
        L('second', 'setuid'), F('zeros', b'\0' * 300000 + b'end'),
    ], fmt=tarfile.PAX_FORMAT)


def acls():
    """A directory's default ACL, told in both ways, and what is made in it: in its layer and the next."""
    default = {'SCHILY.xattr.system.posix_acl_default': ACL.decode('utf-8', 'surrogateescape')}
    text = {'SCHILY.acl.default': 'user::rw-,user:1234:r--:1234,group::r--,mask::r--,other::r--'}
    lower = tar([D('both', pax=default), F('both/file', 'x'), D('both/dir'), F('both/dir/file', 'x'),
                 D('text', pax=text), F('text/file', 'x'), D('text/dir'),
                 D('gone', pax=default), F('gone', 'x'), D('gone')])
    return [lower, tar([F('both/new', 'y'), F('both/dir/new', 'y'), F('made/new', 'y')])]


def nested(*entries, flat=False):
    """entries: (platform, layers, annotations); an index in an index, or rows without a name"""
    def make(path):
        layout, rows = Layout(), []
        for (os_name, arch), layers, notes in entries:
            row = layout.image(layers, arch=arch)
            row['platform'] = {'os': os_name, 'architecture': arch}
            if notes:
                row['annotations'] = notes
            rows.append(row)
        if flat:
            layout.rows = rows
        else:
            layout.add(layout.json({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json',
                                    'manifests': rows}, OCI + 'index.v1+json'), 'nested')
        layout.write(path)
    return make


ATTESTATION = (('unknown', 'unknown'), [tar([F('attest', '{}')])],
               {'vnd.docker.reference.type': 'attestation-manifest'})


def lie(change):
    """An archive whose blobs are changed behind the back of their names."""
    def make(path):
        layout = Layout()
        row = layout.image([B, HI])
        manifest = json.loads(layout.blobs[row['digest'][7:]])
        layout.add(row, 'lie')
        change(layout.blobs, manifest)
        layout.write(path)
    return make


def flip(blobs, manifest):
    name = manifest['layers'][1]['digest'][7:]
    blobs[name] = blobs[name][:-5] + bytes([blobs[name][-5] ^ 1]) + blobs[name][-4:]


def flip_config(blobs, manifest):
    name = manifest['config']['digest'][7:]
    blobs[name] = blobs[name].replace(b'PATH=/bin', b'PATH=/tmp')


def drop_layer(blobs, manifest):
    del blobs[manifest['layers'][1]['digest'][7:]]


def cut(make, fraction):
    def cut_short(path):
        make(path)
        with open(path, 'r+b') as archive:
            archive.truncate(int(os.path.getsize(path) * fraction))
    return cut_short


def wrong_size(manifest):
    manifest['layers'][0]['size'] += 1


def cut_gzip():
    """The digest is right, but the layer's gzip stream ends in the middle."""
    def make(path):
        layout = Layout()
        def change(manifest):
            data = packed(B, 'gzip')[:-20]
            manifest['layers'] = [layout.blob(data, OCI + 'layer.v1.tar+gzip')]
        layout.add(layout.image([B], change=change), 'cut')
        layout.write(path)
    return make


def raw(data):
    return lambda path: write(path, data)


def deep_index(path, before=b''):
    index = before + b'{"schemaVersion": 2, "manifests": ' + b'[' * 100000
    write(path, tar([F('oci-layout', '{}'), F('index.json', index)]))


# json-glib passes over comments. Who does not takes this one's quote for the start of a string.
def hidden_index(path):
    deep_index(path, b'/* " */')


def rootfs(how='none'):
    return raw(packed(tar([D('./')] + BASE + [F('hi', 'hi\n')]), how))


NOISE = b''.join(hashlib.sha256(b'%d' % n).digest() for n in range(100000))

USERS = tar([
    F('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n'),
    F('etc/group', 'root:x:0:\napp:x:1000:\nextra:x:2000:app\nmore:x:3000:\n')])
IMAGES = {
    # A whiteout or opaque mark that comes late must not touch its own layer's files.
    'late-marks': oci([B, tar([D('a'), F('a/old', '1'), D('a/b'), F('a/b/bar', '1'), F('c', 'old\n')]),
                       tar([D('a'), F('a/new', '2'), D('a/b'), F('a/b/foo', '2'),
                            F('a/.wh..wh..opq'), F('c', 'new\n'), W('c')])]),
    'marks': oci([B, tar([D('d'), F('d/gone', '1'), F('d/stays', '1'), D('all'), F('all/x', '1'),
                          D('again'), F('again/x', '1'), F('top', '1')]),
                  tar([W('d/gone'), W('all'), W('never'), W('again'), D('again'), F('again/y', '2'),
                       W('top')])]),
    'type-changes': oci([B, tar([D('a'), F('a/x', '1'), F('b', '1'), D('c'), F('c/y', '1'),
                                 S('e', 'etc/passwd'), D('g'), D('g/h'), F('g/h/i', '1')]),
                         tar([F('a', 'A\n'), D('b'), F('b/z', 'Z\n'), S('c', '/tmp'), F('e', 'E\n'),
                              P('g')])]),
    # The same within one layer: the last one counts.
    'changes-inside': oci([B, tar([D('m'), F('m/lower', '1')]),
                           tar([D('a'), F('a/x', '1'), F('a', 'A\n'), F('b', '1'), D('b'),
                                F('b/z', 'Z\n'), S('s', 'etc'), D('s'), F('s/own', '1'),
                                F('m', '1'), D('m'), F('t', 'one'), F('t', 'two\n')])]),
    'links': oci([B, tar([D('lib'), F('lib/real', 'v1\n'), L('bin/one', 'lib/real')]),
                  tar([W('lib/real'), L('bin/two', 'bin/one')]), tar([F('lib/real', 'v2\n')])]),
    'links-late': oci([B, tar([D('lib'), F('lib/real', 'v1\n', mode=0o640, uid=3), L('lib/alias', 'lib/real')]),
                       tar([L('bin/two', 'lib/real'), W('lib/real')])]),
    'links-alias': oci([B, tar([D('lib'), F('lib/real', 'v1\n'), L('lib/alias', 'lib/real')]),
                        tar([L('bin/two', 'lib/real')])]),
    # The alias is below a name that the upper layer gives to another file.
    'links-replaced': oci([ALIASED, tar([F('d', 'file\n'), L('new', 'keep')])]),
    'links-replaced-late': oci([ALIASED, tar([L('new', 'keep'), F('d', 'file\n')])]),
    'links-symlink': oci([ALIASED, tar([S('d', 'e'), L('new', 'keep')])]),
    'links-symlink-late': oci([ALIASED, tar([L('new', 'keep'), S('d', 'e')])]),
    'links-absolute': oci([ALIASED, tar([S('d', '/e'), L('new', 'keep')])]),
    'links-absolute-late': oci([ALIASED, tar([L('new', 'keep'), S('d', '/e')])]),
    # So is what the upper layer deletes.
    'marks-replaced': oci([MARKED, tar([W('d/x'), F('d/s/.wh..wh..opq'), F('d', 'file\n')])]),
    'marks-symlink': oci([MARKED, tar([W('d/x'), F('d/s/.wh..wh..opq'), S('d', 'e'), D('e/x'), D('e/s')])]),
    'marks-absolute': oci([MARKED, tar([W('d/x'), F('d/s/.wh..wh..opq'), S('d', '/e'), D('e/x'), D('e/s')])]),
    'names-pax': oci([B, tar(NAMES, common={'comment': '0123456789abcdef'})]),
    'names-gnu': oci([B, tar(NAMES, fmt=tarfile.GNU_FORMAT)]),
    'owners-pax': oci([B, tar(OWNERS)]),
    'owners-gnu': oci([B, tar(OWNERS, fmt=tarfile.GNU_FORMAT)]),
    'docker': docker([B, HI], ['t:1', 't:2']),
    'docker-links': docker([B, HI, B], ['links:latest'], links=True),
    'docker-untagged': docker([B, HI], None),
    'docker-gzip': docker([B, HI], ['t:gz'], how='gzip'),
    'docker-xz': docker([B, HI], ['t:xz'], how='xz'),
    'docker-modern': docker([B, HI], ['docker.io/library/modern:1'], modern=True),
    'docker-no-manifest': docker([B, HI], ['t:1'], manifest=False),
    'nested': nested(ATTESTATION, (('linux', OTHER), [B, BYE], None), (('linux', HOST), [B, HI], None)),
    'variants': nested((('linux', OTHER), [B, BYE], None), (('linux', HOST), [B, HI], None),
                       ATTESTATION, flat=True),
    'nested-other': nested(ATTESTATION, (('linux', OTHER), [B, BYE], None)),
    'gzip': oci([B, HI], outer='gzip'),
    'zstd': oci([B, HI], how='zstd', outer='zstd'),
    'zstd-frames': oci([B, HI], how='frames'),
    'two-members': oci([B, HI], how='members', outer='members'),
    'xz': oci([B, HI], how='xz', outer='xz'),
    'plain': oci([B, HI], how='none'),
    'zero-layer': oci([B, b'\0' * 1024, HI]),
    'repeat': oci([B, HI, BYE, HI]),
    'config': oci([B], Entrypoint=['/bin/e'], Cmd=['a', 'b c'], Env=['PATH=/x', 'NONE', 'E='],
                  WorkingDir='work/dir', User='app:extra', StopSignal='SIGUSR1',
                  Labels={'tier': 'web', 'odd key': 'a=b', 'unsayable=': 'x', '': 'y'}),
    'labels-broken': oci([B], Labels={'number': 1}),
    'attributes': oci([attributes()]),
    'acls': oci(acls()),
    # What an ordinary user's ids reach, with a device; and what they don't.
    'owned': oci([B, tar([D('own', uid=1000, gid=100, mode=0o750), F('own/a', uid=65534, gid=33, mode=0o640),
                          F('own/suid', uid=5, mode=0o4755), C('own/null', 1, 3), F('hidden', '1')]),
                  tar([C('hidden', 1, 3)])]),
    'sparse': oci([B, tar([D('sparse'), SPARSE('sparse/hole', 64 << 20),
                           SPARSE('sparse/middle', 2 << 30, (1 << 30, b'data' * 3000)),
                           SPARSE('sparse/ends', 20 << 20, (0, b'begin' * 2000), ((20 << 20) - 4, b'end\n')),
                           SPARSE('sparse/' + 'long' * 60, 5 << 20, ((1 << 20) + 777, b'odd')),
                           SPARSE('sparse/é', 5 << 20, ((1 << 20) + 777, b'odd')),
                           SPARSE('sparse/many', 33000 << 13, *((n << 13, b'%d' % n) for n in range(33000))),
                           L('sparse/link', 'sparse/middle')])]),
    'sparse-bomb': oci([B, tar([SPARSE('bomb', 8 << 40, (4 << 40, b'x' * 512))])]),
    # More of them than there can be in a map, and then one more hole.
    'sparse-crowd': oci([B, tar([SPARSE('bomb', 8 << 40, *((n << 13, b'x') for n in range(33000)))])]),
    'closed': oci([tar([D('shut', mode=0o555), F('shut/none', 'x', mode=0), D('nil', mode=0),
                        F('nil/x', '1')])]),
    # Who is who, by an image's own files; and an image that has none.
    'users': oci([B, USERS], User='app'),
    **{'user-' + name.replace(':', '-'): oci([B, USERS], User=name)
       for name in ('1000', '1000:1000', 'app:extra', '4242', 'ghost')},
    'users-none': oci([B, tar([W('etc/passwd'), W('etc/group')])]),
    'high-70000': oci([B, tar([F('x', uid=70000)])]),
    # A member of an upper layer through a symlink of a lower one, and parents that it does not name.
    'merged-usr': oci([tar([D('usr'), D('usr/bin', mode=0o711, uid=4, gid=4), S('bin', 'usr/bin'),
                            D('run'), D('var'), S('var/run', '/run')]),
                       tar([F('bin/tool', 'tool\n'), F('var/run/pid', '1\n'), F('new/dir/f', '1')])]),
    'rootfs': rootfs(), 'rootfs-gzip': rootfs('gzip'), 'rootfs-xz': rootfs('xz'),
    'rootfs-zstd': rootfs('zstd'),
    'high-300': oci([tar([F('f%d' % n, uid=100000 + n) for n in range(300)])]),
    'large-and-small': two(('large', [tar([F('noise', NOISE)])]), ('small', [B, HI])),
    'large': oci([tar(BASE + [F('noise', NOISE)])], how='none'),

    'bad-dotdot': oci([B, tar([F('../escaped', 'x')])]),
    'bad-dotdot-inside': oci([B, tar([F('etc/../../escaped', 'x')])]),
    'bad-absolute': oci([B, tar([F('/tmp/escaped', 'x')])]),
    'bad-symlink': oci([B, tar([S('out', '/tmp'), F('out/escaped', 'x')])]),
    'bad-symlink-up': oci([B, tar([S('out', '../../..'), F('out/escaped', 'x')])]),
    'bad-symlink-lower': oci([tar(BASE + [S('out', '../../../tmp')]), tar([F('out/escaped', 'x')])]),
    'bad-symlink-loop': oci([B, tar([S('loop', 'loop'), F('loop/x', 'x')])]),
    'bad-link-dotdot': oci([B, tar([L('link', '../../../etc/passwd')])]),
    'bad-link-absolute': oci([B, tar([L('link', '/etc/passwd')])]),
    'bad-link-symlink': oci([B, tar([S('out', '/etc'), L('link', 'out/passwd')])]),
    'bad-link-missing': oci([B, tar([L('link', 'etc/none')])]),
    'bad-link-dir': oci([B, tar([L('link', 'etc')])]),
    'bad-whiteout': oci([B, tar([F('etc/.wh...')])]),
    'bad-rootfs': raw(tar(BASE + [F('../escaped', 'x')])),
    'bad-owner': oci([B, tar([F('x', uid=4294967295)])]),
    'bad-owners-301': oci([tar([F('f%d' % n, uid=100000 + n) for n in range(301)])]),
    'bad-layer-bytes': lie(flip), 'bad-config-bytes': lie(flip_config), 'bad-no-layer': lie(drop_layer),
    'bad-size': oci([B, HI], change=wrong_size),
    'bad-diff-id': oci([B, HI], diff_ids=['sha256:' + sha(B), 'sha256:' + sha(BYE)]),
    'bad-layer-count': oci([B, HI], diff_ids=['sha256:' + sha(B)]),
    'bad-cut-layer': cut_gzip(),
    'bad-cut-archive': cut(oci([B, HI], how='none'), 0.6),
    'bad-cut-gzip': cut(oci([B, HI], outer='gzip'), 0.6),
    'bad-cut-rootfs': raw(tar(BASE)[:512 * 5]),
    'bad-cut-rootfs-middle': raw(tar(BASE)[:1800]),
    'bad-json-depth': deep_index,
    'bad-json-hidden': hidden_index,
    'bad-empty': raw(b''),
    'bad-noise': raw(NOISE[:100000]),
}


def main():
    directory, wanted = sys.argv[1], sys.argv[2:] or IMAGES
    os.makedirs(directory, exist_ok=True)
    for name in wanted:
        IMAGES[name](os.path.join(directory, name + '.tar'))


if __name__ == '__main__':
    main()
