// SPDX-License-Identifier: Apache-2.0
//
// The AWS SDK for JavaScript, driven by test_auth_javascript.py. From standard
// input: {sdk, endpoint, bucket, accessKeyId, secretAccessKey, keys}; to standard
// output one line for each key: {key, ...: "ok" or what went wrong}.
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { readFileSync } from 'node:fs';

const job = JSON.parse(readFileSync(0, 'utf8'));
const require = createRequire(job.sdk + '/');
const { S3Client, PutObjectCommand, GetObjectCommand, HeadObjectCommand,
        DeleteObjectCommand, ListObjectsV2Command, CopyObjectCommand } =
    require('@aws-sdk/client-s3');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');

const s3 = new S3Client({
    endpoint: job.endpoint, region: 'us-east-1', forcePathStyle: true,
    credentials: job, maxAttempts: 1 });
const bytes = async (body) => Buffer.from(await body.transformToByteArray());

function same(got, wanted) {
    if (!Buffer.from(got).equals(Buffer.from(wanted))) {
        throw new Error(`${got.length} bytes, other than those written`);
    }
}

const steps = {
    async put(at, body) {
        await s3.send(new PutObjectCommand({
            ...at, Body: body, Metadata: { 'a-b': 'c  d' } }));
    },
    async head(at, body) {
        const got = await s3.send(new HeadObjectCommand(at));
        if (got.ContentLength !== body.length) {
            throw new Error(`length ${got.ContentLength}`);
        }
    },
    async get(at, body) {
        const got = await s3.send(new GetObjectCommand(at));
        same(await bytes(got.Body), body);
    },
    async range(at, body) {
        const got = await s3.send(new GetObjectCommand(
            { ...at, Range: 'bytes=1-3' }));
        same(await bytes(got.Body), body.subarray(1, 4));
    },
    async override(at, body) {
        const got = await s3.send(new GetObjectCommand(
            { ...at, ResponseContentType: 'a/b; c="d e"' }));
        same(await bytes(got.Body), body);
        if (got.ContentType !== 'a/b; c="d e"') {
            throw new Error(got.ContentType);
        }
    },
    async link(at, body) {
        const url = await getSignedUrl(s3, new GetObjectCommand(at),
                                       { expiresIn: 60 });
        const got = await fetch(url);
        if (got.status !== 200) {
            throw new Error(`${got.status} ${await got.text()}`);
        }
        same(Buffer.from(await got.arrayBuffer()), body);
    },
    async list(at) {
        await s3.send(new ListObjectsV2Command({
            Bucket: at.Bucket, Prefix: at.Key.slice(0, 50), Delimiter: '/' }));
    },
    async stream(at, body) {
        await s3.send(new PutObjectCommand({
            ...at, Body: Readable.from([body.subarray(0, 10),
                                        body.subarray(10)]),
            ContentLength: body.length }));
    },
    async again(at, body) {
        const got = await s3.send(new GetObjectCommand(at));
        same(await bytes(got.Body), body);
    },
    async copy(at) {
        await s3.send(new CopyObjectCommand({
            Bucket: at.Bucket, Key: 'copied',
            CopySource: encodeURIComponent(`${at.Bucket}/${at.Key}`) }));
    },
    async remove(at) {
        await s3.send(new DeleteObjectCommand(at));
    },
};

for (const key of job.keys) {
    const at = { Bucket: job.bucket, Key: key };
    const body = Buffer.from(`the body of ${JSON.stringify(key)}`);
    const found = { key };
    for (const [name, step] of Object.entries(steps)) {
        try {
            await step(at, body);
            found[name] = 'ok';
        } catch (e) {
            found[name] = `${e.name}: ${e.message} `
                          + (e.$metadata?.httpStatusCode ?? '');
        }
    }
    process.stdout.write(JSON.stringify(found) + '\n');
}
