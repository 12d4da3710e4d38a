/* SPDX-License-Identifier: Apache-2.0
 *
 * Made once: botocore 1.29.27 signed what comes first, in Python and by the
 * AWS common runtime (those of virtual hosts and tokens); an independent
 * signer of a few lines what no botocore sends, from "a path signed as it is
 * sent" on.
 */
#include "sigv4_signed.h"

#include <stddef.h>

#define HOST   "s3.example.com:8080"
#define DATE   "20260115T101112Z"
#define EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852" \
               "b855"

#define K16    "kkkkkkkkkkkkkkkk"
#define K256   K16 K16 K16 K16 K16 K16 K16 K16 K16 K16 K16 K16 K16 K16 K16 K16

#define AUTH(region, names, signature)                                        \
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260115/" region       \
    "/s3/aws4_request, SignedHeaders=" names ", Signature=" signature

#define PLAIN(signature)                                                      \
    { { "Host", HOST }, { "X-Amz-Date", DATE },                               \
      { "X-Amz-Content-SHA256", EMPTY },                                      \
      { "Authorization",                                                      \
        AUTH("us-east-1", "host;x-amz-content-sha256;x-amz-date", signature) } }

const signed_request_t  signed_requests[] = {
    { .name = "get plain.txt", .method = "GET",
      .path = "/bucket/plain.txt",
      .headers = {
          { "Host", HOST },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date",
          "87f1ce6e61115b8bb4ae7022dcb565d1745100fc22029ee575ae529837d254e8") },
          { "amz-sdk-invocation-id", "fa03bde7-25b4-47c6-8d29-76c63ca0330b" },
          { "amz-sdk-request", "attempt=1" },
      } },

    { .name = "get a b", .method = "GET",
      .path = "/bucket/a%20b",
      .headers = PLAIN(
          "271ee1b9021637a3166f49dedb8ac805a4b157fa0027255a73841b982c65a677") },

    { .name = "get a+b", .method = "GET",
      .path = "/bucket/a%2Bb",
      .headers = PLAIN(
          "d0764c595314cf88fd5e1dc8d73690b7d6177243c0a44349c81d4ed77f0de5f6") },

    { .name = "get 100%", .method = "GET",
      .path = "/bucket/100%25",
      .headers = PLAIN(
          "99d264b6eff283e262b6298051129acdc01a2ade2727b1d379e5a40dfe3a3a5f") },

    { .name = "get a//b", .method = "GET",
      .path = "/bucket/a//b",
      .headers = PLAIN(
          "bfbcc32d2b92ef621e4ebe82eb862189bd5b84903294e5649297bd383d23094c") },

    { .name = "get /lead", .method = "GET",
      .path = "/bucket//lead",
      .headers = PLAIN(
          "c7776925b07bdcfb0e811570c2a5202b584c3bdd38581205901d9fe65f3380a1") },

    { .name = "get ../x/./y", .method = "GET",
      .path = "/bucket/../x/./y",
      .headers = PLAIN(
          "e1663fdd797ffb5e8d4fa44c1abe7f5e8880e9c7755ec86f4de0f8429c0f7b07") },

    { .name = "get t/", .method = "GET",
      .path = "/bucket/t/",
      .headers = PLAIN(
          "e1158f76217092b12fb6f46b8a475e85fa32f5a3ee6dc2b724a65c5f742e78c1") },

    { .name = "get %2Fcoded%20", .method = "GET",
      .path = "/bucket/%252Fcoded%2520",
      .headers = PLAIN(
          "d316049a1965fe0061cb9712c1ae7439a87cd2d4aa2ddce714858b192ba6d9f8") },

    { .name = "get ~-_.!*'()", .method = "GET",
      .path = "/bucket/~-_.%21%2A%27%28%29",
      .headers = PLAIN(
          "9effaf5b64755121d3608bf4378cf5da8bb2d89259cc4d5ec565667a8cb607f0") },

    { .name = "get a?b#c;d=e&f@:$,", .method = "GET",
      .path = "/bucket/a%3Fb%23c%3Bd%3De%26f%40%3A%24%2C",
      .headers = PLAIN(
          "030f2d8c4fa564c30244b306d1208d530cff8db540dacbd3de49bdb6d2de018b") },

    { .name = "get qq<>|uu^`{}[]", .method = "GET",
      .path = "/bucket/q%22%3C%3E%7C%5C%5E%60%7B%7D%5B%5D",
      .headers = PLAIN(
          "fa62bf583c767d4d7144e59f64ad1a78cf618a588b005601d3b41b715feebe12") },

    { .name = "get uxe9/uu65e5uu672c/uU0001d11e/uufffd", .method = "GET",
      .path = "/bucket/%C3%A9/%E6%97%A5%E6%9C%AC/%F0%9D%84%9E/%EF%BF%BD",
      .headers = PLAIN(
          "a005df05d0efb9f464dc8d08841d1c84df1def0355ec3e4d8ed6cb541d5c5e9e") },

    { .name = "get euu0301", .method = "GET",
      .path = "/bucket/e%CC%81",
      .headers = PLAIN(
          "19f5cced52de03e9699270c03a85f328dbe71fb8e83f47c689fe1e3bc74dfddd") },

    { .name = "get ux01ux7f", .method = "GET",
      .path = "/bucket/%01%7F",
      .headers = PLAIN(
          "3f56e725860b5596f6644b571695dccb7a4a1a0d1ff64b6aea04dccad2a6edef") },

    { .name = "get 1,024 bytes", .method = "GET",
      .path = "/bucket/" K256 K256 K256 K256,
      .headers = PLAIN(
          "b04bbce52989f8f8795bdd95fec885e291a03be69d99ddbf4b0cf720ed7d822e") },

    { .name = "get a range", .method = "GET",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "Range", "bytes=0-9" },
          { "If-None-Match", "\"abc\"" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "host;if-none-match;range;x-amz-content-sha256;x-amz-date",
          "3f6bfd4a664379c26b3b5b329e1a48ae4127b2eafe74eaeb7db011d6eee37240") },
      } },

    { .name = "head of a version", .method = "HEAD",
      .path = "/bucket/k",
      .query = "versionId=3%2FL4kqtJlcpXroDTDmJ%2BrmSpXd3dIbrHY%2BMTRCxf3vjVB"
               "H40Nr8X8gdRQBpUMLUo",
      .headers = PLAIN(
          "82ac99a5469ed9c57e33e21519215fc408052e414403873c92f7d67c69d2c3b7") },

    { .name = "list", .method = "GET",
      .path = "/bucket",
      .query = "list-type=2&prefix=a%20b%2Bc%2F%25%C3%A9%26%3D%3F&delimiter=%"
               "2F&max-keys=7&continuation-token=1ueGcxLPRx1Tr%2FXYExHnhbYLgv"
               "eDs2J%2Fwm36Hy4vbOwM%3D&start-after=~x&encoding-type=url",
      .headers = PLAIN(
          "6ade98a2826aabcb9ef8598eeeffebeb7ac024ea9b7d88a8e49beea62341f99c") },

    { .name = "list buckets", .method = "GET",
      .path = "/",
      .headers = PLAIN(
          "c212a6d8b889f3ca351df225ecf18e59a787d6ca41d5a78066620a0be16ce70d") },

    { .name = "get the policy", .method = "GET",
      .path = "/bucket",
      .query = "policy",
      .headers = PLAIN(
          "8c400a0b0b23329ffb856955cdbf0ee4933fc43914f4f40dfd0fc1ea448bd2b3") },

    { .name = "put", .method = "PUT",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "Content-Type", "text/plain; charset=utf-8" },
          { "x-amz-acl", "private" },
          { "x-amz-meta-one", "a  b" },
          { "x-amz-meta-two", "c,  d" },
          { "x-amz-meta-three", "" },
          { "x-amz-tagging", "a=b&c=d%20e" },
          { "Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==" },
          { "Expect", "100-continue" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256",
          "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" },
          { "Authorization", AUTH("us-east-1",
          "content-md5;content-type;host;x-amz-acl;x-amz-content-sha256;x-amz"
          "-date;x-amz-meta-one;x-amz-meta-three;x-amz-meta-two;x-amz-tagging",
          "6b8e548dc2c79985b2496773318c9e4f7435d8a16cc95f84b654f0ec4300e001") },
          { "Content-Length", "5" },
      } },

    { .name = "put by https", .method = "PUT",
      .path = "/bucket/k",
      .headers = {
          { "Host", "s3.example.com" },
          { "Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==" },
          { "Expect", "100-continue" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD" },
          { "Authorization", AUTH("us-east-1",
          "content-md5;host;x-amz-content-sha256;x-amz-date",
          "52cf1aa49f88fd0ac1b2412644e252ee9b296c4290faa6e0033bd099395602dc") },
          { "Content-Length", "5" },
      } },

    { .name = "delete", .method = "DELETE",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date",
          "614503077d3b7ee3f316233cef3bf07a660d80c4a67b89ae93a5213ccf927599") },
          { "Content-Length", "0" },
      } },

    { .name = "delete many", .method = "POST",
      .path = "/bucket",
      .query = "delete",
      .headers = {
          { "Host", HOST },
          { "Content-MD5", "vqXe7sw0hb1lApWZT+b1Yw==" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256",
          "b64cdd16387faed965ede4862fd39b9686050e6eb740bee20c6d581a3de28d9d" },
          { "Authorization", AUTH("us-east-1",
          "content-md5;host;x-amz-content-sha256;x-amz-date",
          "a76f1c0c9e890206ffc7d4d4508342ea9aa4c6555b93df7d7e59aa4395477443") },
          { "Content-Length", "100" },
      } },

    { .name = "copy", .method = "PUT",
      .path = "/bucket/k2",
      .headers = {
          { "Host", HOST },
          { "x-amz-copy-source", "bucket/a%20b" },
          { "x-amz-metadata-directive", "REPLACE" },
          { "x-amz-meta-m", "1" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-copy-source;x-amz-date;x-amz-meta-"
          "m;x-amz-metadata-directive",
          "fc49676043e12cb1fd7538490ecc52b02ae60114c345da3cc6da1d99c2cc7729") },
          { "Content-Length", "0" },
      } },

    { .name = "upload a part", .method = "PUT",
      .path = "/bucket/k",
      .query = "partNumber=3&uploadId=2~abc%2Fd%2Be",
      .headers = {
          { "Host", HOST },
          { "Content-MD5", "ndTkYSaMgDT1yFZOFVxnpg==" },
          { "Expect", "100-continue" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256",
          "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" },
          { "Authorization", AUTH("us-east-1",
          "content-md5;host;x-amz-content-sha256;x-amz-date",
          "54fd022a00d3cd99ee8f4ec2e6e88fe1b62c34a82ad1c98d139ac21467e2a36d") },
          { "Content-Length", "1" },
      } },

    { .name = "virtual host", .method = "GET",
      .path = "/a%20b//c",
      .headers = {
          { "host", "bucket.s3.example.com:8080" },
          { "X-Amz-Date", DATE },
          { "x-amz-content-sha256", EMPTY },
          { "Authorization", AUTH("eu-central-1",
          "host;x-amz-content-sha256;x-amz-date",
          "d9a9337f9cc7ba2af9c07957a643d47d2ac79e5e876545040eebcd314a4a90b7") },
      } },

    { .name = "virtual host list", .method = "GET",
      .path = "/",
      .query = "list-type=2&encoding-type=url",
      .headers = {
          { "host", "bucket.s3.example.com:8080" },
          { "X-Amz-Date", DATE },
          { "x-amz-content-sha256", EMPTY },
          { "Authorization", AUTH("eu-central-1",
          "host;x-amz-content-sha256;x-amz-date",
          "df7e4529ea24b357d6dc5f949361f6a91d259b15fb29c70c7eb88d487e11a6e1") },
      } },

    { .name = "session token", .method = "GET",
      .path = "/bucket/k",
      .headers = {
          { "host", HOST },
          { "X-Amz-Security-Token",
          "FwoGZXIvYXdzEBYaDEXAMPLE//token+with/all==" },
          { "X-Amz-Date", DATE },
          { "x-amz-content-sha256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
          "66eeb624f0210f2eeb88a75370869b915e5fa7f1445b09a33212819fbfc7b76c") },
      } },

    { .name = "session token put", .method = "PUT",
      .path = "/bucket/k",
      .headers = {
          { "host", HOST },
          { "Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==" },
          { "Expect", "100-continue" },
          { "X-Amz-Security-Token",
          "FwoGZXIvYXdzEBYaDEXAMPLE//token+with/all==" },
          { "X-Amz-Date", DATE },
          { "x-amz-content-sha256",
          "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" },
          { "Authorization", AUTH("us-east-1",
          "content-md5;host;x-amz-content-sha256;x-amz-date;x-amz-security-to"
          "ken",
          "c8707bb00daf05f3fb64aa849d047f7453e255b29805dff236a9f372500a0092") },
          { "Content-Length", "5" },
      } },

    { .name = "presigned", .method = "GET",
      .path = "/bucket/a%20b%2Bc/%C3%A9",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODN"
               "N7EXAMPLE%2F20260115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Da"
               "te=20260115T101112Z&X-Amz-SignedHeaders=host&X-Amz-Expires=60"
               "0&X-Amz-Signature=238d17876443c4cac393244a27ecf450cd76de1a54d"
               "94ed7966725dd9e44a5e3",
      .headers = { { "Host", HOST } } },

    { .name = "presigned head", .method = "HEAD",
      .path = "/bucket/k",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODN"
               "N7EXAMPLE%2F20260115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Da"
               "te=20260115T101112Z&X-Amz-SignedHeaders=host&X-Amz-Expires=60"
               "0&X-Amz-Signature=c5c9bf885f1474dc77c783d4b1804c9c95e22e5f97f"
               "26ad9779033105c5d20db",
      .headers = { { "Host", HOST } } },

    { .name = "presigned override", .method = "GET",
      .path = "/bucket/k",
      .query = "response-content-disposition=attachment%3B%20filename%3D%22a%"
               "20b.txt%22&response-content-type=text%2Fplain&versionId=v%201"
               "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFOD"
               "NN7EXAMPLE%2F20260115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-D"
               "ate=20260115T101112Z&X-Amz-Expires=600&X-Amz-SignedHeaders=ho"
               "st&X-Amz-Signature=37ba168fbc7c3e31e0fa7a9fd05ad0f99b50b02efd"
               "ffe7be11db7fe1f5e693f0",
      .headers = { { "Host", HOST } } },

    { .name = "presigned virtual host", .method = "GET",
      .path = "/a%20b",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODN"
               "N7EXAMPLE%2F20260115%2Feu-central-1%2Fs3%2Faws4_request&X-Amz"
               "-Date=20260115T101112Z&X-Amz-SignedHeaders=host&X-Amz-Expires"
               "=600&X-Amz-Signature=a40ad46b2526e39e24251626ccd475138402bd14"
               "73a8fd36c5350b493142ffc8",
      .headers = {
          { "Host", "bucket.s3.example.com:8080" },
      } },

    { .name = "presigned with a token", .method = "GET",
      .path = "/bucket/k",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODN"
               "N7EXAMPLE%2F20260115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Da"
               "te=20260115T101112Z&X-Amz-SignedHeaders=host&X-Amz-Expires=60"
               "0&X-Amz-Security-Token=FwoGZXIvYXdzEBYaDEXAMPLE%2F%2Ftoken%2B"
               "with%2Fall%3D%3D&X-Amz-Signature=05a5a71769c96872bf841b3d9638"
               "22c0a3a4eec953fa91bf99d6aa8ad3b517a0",
      .headers = { { "Host", HOST } } },

    { .name = "presigned put", .method = "PUT",
      .path = "/bucket/k",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODN"
               "N7EXAMPLE%2F20260115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Da"
               "te=20260115T101112Z&X-Amz-SignedHeaders=host%3Bx-amz-meta-a&X"
               "-Amz-Expires=600&X-Amz-Signature=6dd407ad4c89c07c3f2ecba67191"
               "3d2f4e8cf12e9dc11682b1f19c58587c3e6d",
      .headers = {
          { "Host", HOST },
          { "x-amz-meta-a", "b" },
      } },

    { .name = "presigned list", .method = "GET",
      .path = "/bucket",
      .query = "list-type=2&prefix=a%20b&encoding-type=url&X-Amz-Algorithm=AW"
               "S4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F202601"
               "15%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260115T101112"
               "Z&X-Amz-SignedHeaders=host&X-Amz-Expires=600&X-Amz-Signature="
               "0dc30660d2e2ec73b12cb6aaeaa091cdd0e8cba1a28a89922672ba20b6b07"
               "ec0",
      .headers = { { "Host", HOST } } },

    { .name = "v2", .method = "GET",
      .path = "/bucket/a%20b%2Bc/%C3%A9",
      .query = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=1gr7xCVj%2BFDmd"
               "PE2bBXXipuRNBM%3D&Expires=1768472472",
      .is_v2 = true,
      .headers = { { "Host", HOST } } },

    { .name = "v2 head", .method = "HEAD",
      .path = "/bucket/k",
      .query = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=%2FibyWfLft2JHy"
               "9aaPJLK6Sx%2ByDA%3D&Expires=1768472472",
      .is_v2 = true,
      .headers = { { "Host", HOST } } },

    { .name = "v2 override", .method = "GET",
      .path = "/bucket/k",
      .query = "response-content-disposition=attachment%3B%20filename%3D%22a%"
               "20%26%20b.txt%22&response-content-type=text%2Fplain&versionId"
               "=v%201&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=Tiyg7GFz"
               "LGgqqsam94Xg5m%2BUJYk%3D&Expires=1768472472",
      .is_v2 = true,
      .headers = { { "Host", HOST } } },

    { .name = "v2 virtual host", .method = "GET",
      .path = "/a%20b//c",
      .query = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=9c2kcUOK7BQWQxV"
               "DC5AYnZDlKvE%3D&Expires=1768472472",
      .is_v2 = true,
      .vhost_bucket = "bucket",
      .headers = {
          { "Host", "bucket.s3.example.com:8080" },
      } },

    { .name = "v2 with a token", .method = "GET",
      .path = "/bucket/k",
      .query = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=gs8six9%2BCbOpS"
               "vk%2BcXwFrCf84K0%3D&x-amz-security-token=FwoGZXIvYXdzEBYaDEXA"
               "MPLE%2F%2Ftoken%2Bwith%2Fall%3D%3D&Expires=1768472472",
      .is_v2 = true,
      .headers = { { "Host", HOST } } },

    { .name = "v2 part", .method = "GET",
      .path = "/bucket/k",
      .query = "partNumber=2&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=lt"
               "wOQ6xEkqqjVpUHCurK5xh6sx0%3D&x-amz-request-payer=requester&Ex"
               "pires=1768472472",
      .is_v2 = true,
      .headers = { { "Host", HOST } } },

    { .name = "a path signed as it is sent", .method = "GET",
      .path = "/bucket/a%2fb",
      .headers = PLAIN(
          "4c4fa52527fed04d67e8ec0f3ad20b6531217e53160225e7441132fac8691efa") },

    { .name = "half of an escape in lower case", .method = "GET",
      .path = "/bucket/%c3%A9",
      .headers = PLAIN(
          "27d64413432993434a015013f2b7824eb5d6a088b2d7eb65219c41458cd1cc8c") },

    { .name = "an escape that nobody needs signed as it is sent", .method = "GET",
      .path = "/bucket/a%2F%61",
      .headers = PLAIN(
          "a4ab24ab8d75bd628d76cd4254f575dac315155e6bfe7affac77168d708b5c8a") },

    { .name = "a plus in the path", .method = "GET",
      .path = "/bucket/a+b",
      .headers = PLAIN(
          "d0764c595314cf88fd5e1dc8d73690b7d6177243c0a44349c81d4ed77f0de5f6") },

    { .name = "a plus in the path signed as it is sent", .method = "GET",
      .path = "/bucket/a+b!",
      .headers = PLAIN(
          "bdcabea88d26fe0cdbf31850d66429f43a665ef2214726fc2215876b582c8e04") },

    { .name = "bytes that others escape", .method = "GET",
      .path = "/bucket/(a)!\303\251",
      .headers = PLAIN(
          "acc0c7c83480ad97bc1f48802afc4daabcdddfb414f4190cbfef28691482060f") },

    { .name = "escapes that nobody needs", .method = "GET",
      .path = "/bucket/%61%7e%2Fx",
      .headers = PLAIN(
          "b8605f2b41e321592ab8f8564e630a064a9329975b9b45912bc99cde2231a505") },

    { .name = "a query in disorder", .method = "GET",
      .path = "/bucket",
      .query = "prefix=a+b%2fc&list-type=2&&x=2&x=10&acl",
      .headers = PLAIN(
          "b2c71abf16e8372808eab0904a8ab489ef2edc0673a27d9a59df2e143ab26c7f") },

    { .name = "no blanks", .method = "GET",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization",
          "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260115/us-east-"
          "1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-da"
          "te,Signature=05f5c71f491306dc0dddfbf20bd514bef6e08907281d702670ba5"
          "4972b7ace6c" },
      } },

    { .name = "a Date", .method = "GET",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "Date", "Thu, 15 Jan 2026 10:11:12 GMT" },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "date;host;x-amz-content-sha256",
          "e9ce130cf98ab587f82685624280dea2f98d845c009008ccdccece3850950fe9") },
      } },

    { .name = "the port of a scheme", .method = "GET",
      .path = "/bucket/k",
      .headers = {
          { "Host", "s3.example.com:443" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date",
          "0f2eb941ad0b7bd7e5a387f9b9010164e5fa45406cd8d7a532abcc620f9958a3") },
      } },

    { .name = "a host that is allowed", .method = "GET",
      .path = "/bucket/k",
      .headers = {
          { "Host", "10.0.0.7:8080" },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date",
          "d7e87f2096ea07a9707826c81e8cb01850d350831eb629a2b93f5183f386f9b7") },
      } },

    { .name = "repeated headers", .method = "PUT",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "x-amz-meta-a", "1" },
          { "X-Amz-Meta-B", " z  z\011 " },
          { "X-AMZ-META-A", "  2 , 3" },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b",
          "034ac0bb5c79f7a59e7f2b3efcede7e037b1fd5314fcd229786aee789c18c64d") },
      } },

    { .name = "a region without a name", .method = "GET",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", EMPTY },
          { "Authorization", AUTH("",
          "host;x-amz-content-sha256;x-amz-date",
          "5788e6d97934bc44acc24c93d97c9343363d24f300c16374420031721248ac60") },
      } },

    { .name = "signed chunks", .method = "PUT",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" },
          { "x-amz-decoded-content-length", "5" },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length",
          "91b107aa72bed75b8241d634280b6c410d1bc06d53815dc08b862d2c6c9350d2") },
      } },

    { .name = "an unsigned trailer", .method = "PUT",
      .path = "/bucket/k",
      .headers = {
          { "Host", HOST },
          { "X-Amz-Date", DATE },
          { "X-Amz-Content-SHA256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER" },
          { "x-amz-decoded-content-length", "5" },
          { "x-amz-trailer", "x-amz-checksum-crc32" },
          { "Authorization", AUTH("us-east-1",
          "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
          "x-amz-trailer",
          "bc8fdad5fd7bcdd27d9660fe5d549a5a2450712f44d84fc4ad4e6fc3835a6179") },
      } },

    { .name = "presigned by JavaScript", .method = "PUT",
      .path = "/bucket/k",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=UNSIGNE"
               "D-PAYLOAD&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260115%2F"
               "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260115T101112Z&X-A"
               "mz-Expires=600&X-Amz-SignedHeaders=host&x-amz-acl=private&x-a"
               "mz-meta-foo=b%20r&x-id=PutObject&X-Amz-Signature=5e311920322e"
               "67a5d434032f346d909d1123a9e017dbef3a212d923d76802120",
      .headers = { { "Host", HOST } } },

    { .name = "presigned with a hash", .method = "PUT",
      .path = "/bucket/k",
      .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODN"
               "N7EXAMPLE%2F20260115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Da"
               "te=20260115T101112Z&X-Amz-Expires=600&X-Amz-SignedHeaders=hos"
               "t&X-Amz-Signature=e920e6ece6a2c01c2d1189f59d2cdb129397dc703ec"
               "f02d99599fa3e4649983c",
      .headers = {
          { "Host", HOST },
          { "x-amz-content-sha256", EMPTY },
      } },
};

const size_t  n_signed_requests = sizeof(signed_requests)
                                  / sizeof(signed_requests[0]);
