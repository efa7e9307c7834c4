{
  # For building from source without cmake (node-gyp). The lists are those of CMakeLists.txt.
  "targets": [
    {
      "target_name": "diffkeeper",
      "sources": [
        "<!@(node -p \"const s=require('./native/sources.json');[...s.own,...s.vendor].join(' ')\")"
      ],
      "defines": ["<!@(node -p \"require('./native/sources.json').definitions.join(' ')\")"],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "cflags": ["-O3", "-fvisibility=hidden"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++20"],
      "cflags_cc": [
        "-O3", "-std=c++17", "-fexceptions", "-fvisibility=hidden",
        "-include <(module_root_dir)/native/common/glibc_floor.h"
      ],
      "conditions": [
        ["target_arch=='x64'", {
          "sources": ["<!@(node -p \"require('./native/sources.json').vendorX64.join(' ')\")"]
        }],
        ["target_arch=='arm64'", {
          "sources": ["<!@(node -p \"require('./native/sources.json').vendorArm64.join(' ')\")"]
        }],
        ["OS=='linux'", {
          "ldflags": [
            "-Wl,-z,nodelete", "-Wl,--version-script=<(module_root_dir)/native/exports.map"
          ]
        }],
        ["OS=='mac'", {
          "xcode_settings": {
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "MACOSX_DEPLOYMENT_TARGET": "11.0"
          }
        }]
      ]
    }
  ]
}
