// Detect objects in an image: detect_openvino detector.xml photo.jpg found.jpg (an .onnx that snv2 export wrote runs, too).
// Needs OpenVINO 2024 or later and OpenCV 4. Metadata of the file say how to resize and what the classes are called.
#include <cstdio>
#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <openvino/openvino.hpp>

using Metadata = ov::AnyMap;

// An entry of the metadata is JSON text. OpenCV's reader wants an object around it.
cv::FileNode parsed(cv::FileStorage &json, const Metadata &metadata, const std::string &name) {
    json.open("{\"value\": " + metadata.at(name).as<std::string>() + "}",
              cv::FileStorage::READ | cv::FileStorage::MEMORY | cv::FileStorage::FORMAT_JSON);
    return json["value"];
}

// As the test pipeline of the detector resizes: see "resize" in docs/deploy.md.
cv::Mat resized(const cv::Mat &image, const cv::FileNode &how) {
    if ((std::string)how["backend"] == "pillow" || (std::string)how["interpolation"] != "bilinear")
        throw std::runtime_error("This program only resizes bilinearly by OpenCV.");
    cv::Size size((int)how["scale"][0], (int)how["scale"][1]);
    if ((int)how["keep_ratio"]) {
        double width = size.width, height = size.height;
        if (!(int)how["fit"] && (width < height) != (image.cols < image.rows)) std::swap(width, height);
        double factor = std::min(width / image.cols, height / image.rows), half = (int)how["cut"] ? 0.0 : 0.5;
        size = cv::Size(std::max(1, int(image.cols * factor + half)), std::max(1, int(image.rows * factor + half)));
    }
    cv::Mat result;
    if ((std::string)how["backend"] == "warp") {  // aligns corners, not centers of pixels
        cv::Matx33d matrix(size.width / double(image.cols), 0, 0, 0, size.height / double(image.rows), 0, 0, 0, 1);
        cv::warpPerspective(image, result, matrix, size);
    } else {
        cv::resize(image, result, size);
    }
    return result;
}

int main(int argc, char **argv) try {
    if (argc != 4) throw std::runtime_error("Usage: detect_openvino detector.xml photo.jpg found.jpg");
    cv::Mat image = cv::imread(argv[2]);
    if (image.empty()) throw std::runtime_error(std::string("Cannot read image: ") + argv[2]);
    ov::Core core;
    auto model = core.read_model(argv[1]);
    auto metadata = model->get_rt_info<Metadata>("framework");
    cv::FileStorage resize_json, classes_json;
    cv::FileNode classes = parsed(classes_json, metadata, "classes");
    cv::Mat input = resized(image, parsed(resize_json, metadata, "resize"));

    auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = compiled.create_infer_request();
    request.set_tensor("image", ov::Tensor(ov::element::u8, {size_t(input.rows), size_t(input.cols), 3}, input.data));
    request.infer();
    auto dets = request.get_tensor("dets");  // (N, 5): x1, y1, x2, y2 in pixels of the input, score
    auto labels = request.get_tensor("labels");
    const float *row = dets.data<float>();
    float fx = image.cols / float(input.cols), fy = image.rows / float(input.rows);
    for (size_t i = 0; i < dets.get_shape()[0] && row[4] >= 0.3f; ++i, row += 5) {
        std::string name = (std::string)classes[(int)labels.data<int64_t>()[i]];
        std::printf("%s %.4f %.2f %.2f %.2f %.2f\n", name.c_str(), row[4], row[0] * fx, row[1] * fy, row[2] * fx, row[3] * fy);
        cv::Point corner(row[0] * fx, row[1] * fy);
        cv::rectangle(image, corner, cv::Point(row[2] * fx, row[3] * fy), {0, 200, 0}, 2);
        cv::putText(image, name, corner + cv::Point(3, 14), cv::FONT_HERSHEY_SIMPLEX, 0.5, {0, 200, 0});
    }
    if (!cv::imwrite(argv[3], image)) throw std::runtime_error(std::string("Cannot write image: ") + argv[3]);
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 2;
}
